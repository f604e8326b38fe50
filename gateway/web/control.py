"""The admin listener's routes that change something: reload, bots, conversations."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from gateway.errors import Permanent
from gateway.settings import Invalid
from gateway.settings.plan import Plan
from gateway.web.problem import problem

BOT_VERBS = "pause|resume|restart"
CONVERSATION_VERBS = "pause|resume"


class Operations(Protocol):
    """What `gateway.control.Control` does."""

    async def reload(self, *, dry_run: bool = False) -> Plan: ...

    async def act(self, verb: str, bot: str, platform: str | None = None) -> list[str]: ...

    async def hand_over(self, verb: str, conversation: str, seconds: float | None = None) -> None: ...


def control_routes(operations: Operations) -> list[web.RouteDef]:
    """`/-/reload`, `/-/bots/{name}/{verb}` (with `?platform=`), `/-/conversations/{id}/{verb}` (with `?seconds=`)."""

    async def reload(request: web.Request) -> web.Response:
        dry_run = request.query.get("dry_run", "").lower() in {"1", "true", "yes"}
        try:
            plan = await operations.reload(dry_run=dry_run)
        except Invalid as invalid:
            errors = [str(problem) for problem in invalid.problems]
            return problem(422, "the configuration has errors; nothing was changed", errors=errors)
        except Permanent as error:
            return problem(409, str(error))
        return web.json_response({"applied": not dry_run, "plan": plan.document()})

    async def act(request: web.Request) -> web.Response:
        name, verb = request.match_info["name"], request.match_info["verb"]
        try:
            done = await operations.act(verb, name, request.query.get("platform"))
        except KeyError:
            return problem(404, "there is no such bot or channel")
        return web.json_response({"verb": verb, "channels": done})

    async def hand_over(request: web.Request) -> web.Response:
        conversation, verb = request.match_info["id"], request.match_info["verb"]
        try:
            seconds = float(request.query["seconds"]) if "seconds" in request.query else None
            await operations.hand_over(verb, conversation, seconds)
        except KeyError:
            return problem(404, "there is no such conversation (bot/platform/chat)")
        except ValueError:
            return problem(422, "seconds is not a number")
        return web.json_response({"verb": verb, "conversation": conversation})

    return [
        web.post("/-/reload", reload),
        web.post(f"/-/bots/{{name}}/{{verb:{BOT_VERBS}}}", act),
        web.post(f"/-/conversations/{{id:.+}}/{{verb:{CONVERSATION_VERBS}}}", hand_over),
    ]
