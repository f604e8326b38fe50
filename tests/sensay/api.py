"""The pretended Sensay through a plain HTTP client, with a clock that only tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox

R = f"/v1/replicas/{SUPPORT}"
KEY = {"X-ORGANIZATION-SECRET": "acme", "Content-Type": "application/json"}
ADA = KEY | {"X-USER-ID": "ada"}
EVE = KEY | {"X-USER-ID": "eve"}


class Api:
    """With the users `ada` and `eve`."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1_800_000_000.0
        self.sensay = SensaySandbox(clock=lambda: self.now, **{"requests_per_minute": None} | settings)
        self.http = httpx.AsyncClient(trust_env=False)

    async def ask(self, method: str, path: str, body: Any = None, headers: Any = KEY) -> httpx.Response:
        return await self.http.request(method, path, json=body, headers=headers)

    async def get(self, path: str, headers: Any = KEY) -> Any:
        """The answer's JSON. Raises for anything but a success."""
        return (await self.ask("GET", path, headers=headers)).raise_for_status().json()

    async def post(self, path: str, body: Any, headers: Any = KEY) -> Any:
        return (await self.ask("POST", path, body, headers)).raise_for_status().json()

    async def replica(self, slug: str = "mine", **more: Any) -> str:
        """A replica of ada's; its path."""
        new = {
            "name": slug,
            "shortDescription": "",
            "greeting": "Hi",
            "ownerID": "ada",
            "slug": slug,
            "llm": {},
        }
        return f"/v1/replicas/{(await self.post('/v1/replicas', new | more))['uuid']}"


@asynccontextmanager
async def api(**settings: Any) -> AsyncIterator[Api]:
    made = Api(**settings)
    async with Sandbox(sensay=made.sensay) as box, made.http:
        made.http.base_url = box.url
        for user in ("ada", "eve"):
            await made.post("/v1/users", {"id": user})
        yield made
