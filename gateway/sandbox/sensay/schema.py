"""The OpenAPI document of what is served, made from the table of routes and the classes that it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from gateway.sandbox.sensay import bodies
from gateway.sandbox.sensay.queries import Query
from gateway.sandbox.sensay.replies import Error, GuideError
from gateway.sandbox.sensay.routes import Auth, Route
from gateway.sandbox.sensay.samples import OWNER, SUPPORT
from gateway.sandbox.sensay.wire import API_VERSION, ErrorShape

Json: TypeAlias = dict[str, Any]
_REF = "#/components/schemas/{name}"
_ANYWHERE = (400, 401, 404, 415, 429, 500)
"""What every request may be refused with."""
_SECURITY: dict[Auth, list[Json]] = {
    "none": [],
    "organization": [{"organization": []}],
    "user": [{"organization": [], "user": []}],
    "either": [{"organization": []}, {"organization": [], "user": []}],
}
_ABOUT = """\
Served by the sandbox of Sensay Gateway; nothing here is Sensay's own. Every request needs
`Content-Type: application/json`, a GET too. Any secret is an organisation of its own, unless it starts with `invalid`
or `revoked`. Unknown keys and parameters are refused. `x-operation` is the name by which `/_control/faults` knows an
operation, `x-family` whose documents have it: `shared`, `published` or `guide`."""
_PATH: dict[str, Json] = {
    "replica": {"schema": {"type": "string"}, "example": SUPPORT, "description": "UUID"},
    "user": {"schema": {"type": "string"}, "example": OWNER},
    "entry": {"schema": {"type": "integer"}, "example": 1},
    "conversation": {"schema": {"type": "string"}, "description": "UUID"},
    "chat": {"schema": {"type": "string"}, "description": "UUID"},
    "code": {"schema": {"type": "string"}, "example": "welcome"},
}
_DISCORD = {
    "channel_id": "900",
    "channel_name": "general",
    "author_id": "42",
    "author_name": "ada",
    "message_id": "77",
}
_TELEGRAM = {"chat_type": "private", "chat_id": 42, "message_id": 7, "user_id": 42, "username": "ada"}
_REPLICA = {
    "name": "Library",
    "shortDescription": "Knows every book",
    "greeting": "Psst! What are you looking for?",
    "ownerID": OWNER,
    "slug": "library",
    "llm": {"model": "gpt-4o"},
}
EXAMPLES: dict[type[bodies.Body], Json] = {
    bodies.NewUser: {"id": "ada"},
    bodies.ChangedUser: {"id": "ada", "name": "Ada L."},
    bodies.NewReplica: _REPLICA,
    bodies.Completion: {"content": "When are you open?"},
    bodies.TelegramCompletion: {"content": "When are you open?", "telegram_data": _TELEGRAM},
    bodies.GuideTelegramCompletion: {
        "content": "When are you open?",
        "telegramUserId": "42",
        "telegramChatId": "42",
    },
    bodies.OpenAiCompletion: {"messages": [{"role": "user", "content": "When are you open?"}]},
    bodies.Saved: {"content": "See you at nine.", "source": "discord", "discord_data": _DISCORD},
    bodies.TelegramSaved: {"content": "See you at nine.", "telegram_data": _TELEGRAM},
    bodies.Knowledge: {"text": "The office dog is called Biscuit."},
    bodies.ChangedKnowledge: {"title": "The office dog"},
    bodies.Nothing: {},
    bodies.Training: {"rawText": "The office dog is called Biscuit."},
    bodies.TelegramIntegration: {"telegram_token": "100:secret", "mention": "library_bot"},
    bodies.GuideTelegramIntegration: {"botToken": "100:secret", "serviceName": "library-bot"},
    bodies.DiscordIntegration: {"discordToken": "x" * 60},
    bodies.Redemption: {"organizationName": "Acme", "name": "Ada", "email": "ada@example.org"},
}


def document(routes: Sequence[Route], shape: ErrorShape) -> Json:
    """`shape`: the errors of routes that leave it open."""
    types: set[type[msgspec.Struct]] = {Error, GuideError}
    types |= {reply for route in routes for reply in route.replies.values() if reply is not None}
    types |= {route.extra.body for route in routes if route.extra.body is not None}
    named = sorted(types, key=lambda type_: type_.__name__)
    _, schemas = msgspec.json.schema_components(named, ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, route.errors or shape)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sensay API, pretended", "version": API_VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _schemes()},
    }


def _schemes() -> Json:
    return {
        "organization": {"type": "apiKey", "in": "header", "name": "X-ORGANIZATION-SECRET"},
        "user": {"type": "apiKey", "in": "header", "name": "X-USER-ID"},
    }


def _operation(route: Route, shape: ErrorShape) -> Json:
    extra = route.extra
    refused = sorted({*_ANYWHERE, *extra.refuses, *((403,) if "{replica}" in route.path else ())})
    operation: Json = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "tags": [_tag(route.path)],
        "x-operation": route.operation,
        "x-family": extra.family,
        "security": _SECURITY[extra.auth],
        "parameters": [*_in_path(route.path), *_in_query(extra.query), *_in_header(route, shape)],
        "responses": {
            **{str(status): _success(status, reply) for status, reply in route.replies.items()},
            **{str(status): _refusal(status, shape) for status in refused},
        },
    }
    if extra.deprecated:
        operation["deprecated"] = True
    if extra.body is not None:
        content = {"schema": _ref(extra.body), "example": EXAMPLES[extra.body]}
        operation["requestBody"] = {
            "required": extra.body is not bodies.Nothing,
            "content": {"application/json": content},
        }
    return operation


def _tag(path: str) -> str:
    """The first word of the path that says what it is about."""
    words = [word for word in path.split("/") if word and not word.startswith("{")][1:]
    if words[0] == "experimental":
        return "chat"
    return words[1] if words[0] == "replicas" and len(words) > 1 else words[0]


def _in_path(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, **_PATH[name]} for name in re.findall(r"{(\w+)}", path)
    ]


def _in_query(query: type[Query]) -> list[Json]:
    (_,), schemas = msgspec.json.schema_components([query], ref_template=_REF)
    shape = schemas[query.__name__]
    return [
        {"name": name, "in": "query", "required": name in shape["required"], "schema": schema}
        for name, schema in shape["properties"].items()
    ]


def _in_header(route: Route, shape: ErrorShape) -> list[Json]:
    version = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "default": API_VERSION}
    headers: list[Json] = [{"name": "X-API-Version", "in": "header", "schema": version}]
    if route.extra.auth in ("user", "either"):
        types = ["discord", "telegram", "embed", *(["email"] if shape == "guide" else [])]
        headers.append({"name": "X-USER-ID-TYPE", "in": "header", "schema": {"enum": types}})
    return headers


def _success(status: int, reply: type[msgspec.Struct] | None) -> Json:
    described: Json = {"description": HTTPStatus(status).phrase, "headers": _headers()}
    if reply is not None:
        described["content"] = {"application/json": {"schema": _ref(reply)}}
    return described


def _refusal(status: int, shape: ErrorShape) -> Json:
    wait = {"Retry-After": {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds"}}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers() | (wait if status == HTTPStatus.TOO_MANY_REQUESTS else {}),
        "content": {"application/json": {"schema": _ref(GuideError if shape == "guide" else Error)}},
    }


def _headers() -> Json:
    return {name: {"schema": {"type": "string"}} for name in ("X-API-Version", "X-Request-Id")}


def _ref(type_: type[msgspec.Struct]) -> Json:
    return {"$ref": _REF.format(name=type_.__name__)}
