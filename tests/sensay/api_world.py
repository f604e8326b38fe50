"""The typed client against the sandbox, with nothing between but the requests themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT, Canned, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.sensay.api import ADMIN, OPERATIONS, Auth, Operation, Sensay, as_user
from gateway.sensay.requests import Answered, Requests
from gateway.settings.models import Settings
from tests.clock import FakeClock

DIALECTS = ("openapi", "guide", "generic")
DISCORD_TOKEN = "d" * 60
TELEGRAM_DATA = {"chat_type": "private", "chat_id": 42, "message_id": 7, "user_id": 42}
LLM = {"provider": "openai", "model": "gpt-4o"}
NEW_REPLICA = {"name": "Nel", "short_description": "d", "greeting": "Moin", "owner_id": "ada", "llm": LLM}


class ApiWorld:
    """`sensay` asks through a door that sends at once. `ada` is a user."""

    def __init__(self, box: Sandbox, dialect: str) -> None:
        self.box, self.dialect = box, dialect
        self.clock = FakeClock()
        self.facts: list[Any] = []
        self.settings = Settings.model_validate(
            {
                "sensay": {"base_url": box.url, "timeout": "10s", "dialect": dialect},
                "organizations": {"acme": {"secret": "a-secret-of-acme"}},
            }
        )
        self.requests = Requests(lambda: self.settings, self.facts.append, self.clock)
        self.sensay = Sensay(self.door, self.clock)

    async def door(self, operation: Operation[Any, Any], arguments: Any, auth: Auth) -> Answered[Any]:
        request = operation.request(arguments, auth, self.settings.sensay.dialect)
        return await self.requests.send("acme", request, lambda: None)

    async def ask(self, name: str, auth: Auth = ADMIN, /, **arguments: Any) -> Answered[Any]:
        operation = OPERATIONS[name]
        return await self.door(operation, operation.read(arguments), auth)

    def fault(self, operation: str, kind: Any, **how: Any) -> None:
        self.box.faults.add(Fault("sensay", operation, kind, **how))

    def canned(self, operation: str, **answer: Any) -> None:
        self.box.sensay.canned.append(Canned(operation, **answer))

    @property
    def sent(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.box.sensay.requests]


@asynccontextmanager
async def api_world(
    dialect: str = "openapi", sandbox: SensaySandbox | None = None
) -> AsyncIterator[ApiWorld]:
    unlimited = sandbox or SensaySandbox(requests_per_minute=None, completions_per_hour=None)
    async with Sandbox(sensay=unlimited) as box:
        world = ApiWorld(box, dialect)
        await world.sensay.users.create("ada")
        try:
            yield world
        finally:
            await world.requests.close()


@dataclass(frozen=True)
class Scene:
    """Ids of things that are there."""

    replica: str
    entry: int
    conversation: str
    chat: str
    message: str


async def scene(world: ApiWorld) -> Scene:
    """A replica of ada's with an entry; and the sample replica's oldest conversation."""
    replica = await world.sensay.replicas.create(slug="nel", **NEW_REPLICA)
    added = await world.sensay.knowledge.add_text(replica, "We open at nine.")
    page = await world.sensay.conversations.page(SUPPORT)
    conversation = page.items[0]
    messages = await world.sensay.conversations.messages_page(SUPPORT, conversation.uuid)
    return Scene(
        replica, added.ids[0], conversation.uuid, conversation.chat_uuid or "", messages.items[-1].uuid
    )


ADA = as_user("ada")
