"""The stage: a visitor of the page talks as a Telegram and a Discord user, and sees each message's life."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from aiohttp import ClientSession, web

from gateway.messages import Life
from gateway.ports import Fact, MessageReceived

VISITOR = {
    "telegram": {"id": 4242, "name": "Robin"},
    "discord": {"id": "424242424242424242", "name": "robin"},
}
ASSETS = {"demo.css": "text/css", "demo.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass
class Stage:
    """What the page asks for. `control` is the sandbox, `tokens` are the demo bot's, `life` looks a message up."""

    control: str
    tokens: dict[str, str]
    session: ClientSession
    life: Callable[[str], Awaitable[Life | None]] | None = None
    said: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"telegram": [], "discord": []})
    last: str | None = None

    def observe(self, fact: Fact) -> None:
        """Remember the newest message, whatever its channel."""
        if isinstance(fact, MessageReceived) and fact.outcome == "accepted" and fact.message:
            self.last = fact.message

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._page),
            web.get("/demo/state", self._state),
            web.post("/demo/say", self._say),
            web.get("/demo/{name}", self._asset),
        ]

    async def _page(self, _: web.Request) -> web.Response:
        text = (files(__package__) / "demo.html").read_text()
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in ASSETS:
            raise web.HTTPNotFound
        text = (files(__package__) / name).read_text()
        return web.Response(text=text, content_type=ASSETS[name], headers=HEADERS)

    async def _say(self, request: web.Request) -> web.Response:
        body = await request.json()
        platform, text = body.get("platform"), str(body.get("text", "")).strip()[:4000]
        if platform not in self.tokens or not text:
            raise web.HTTPUnprocessableEntity
        url = f"{self.control}/_control/{platform}/{self.tokens[platform]}/messages"
        async with self.session.post(url, json={"user": VISITOR[platform], "text": text}) as answer:
            answer.raise_for_status()
        self.said[platform].append({"role": "user", "text": text, "at": time.time()})
        return web.json_response({"ok": True})

    async def _state(self, _: web.Request) -> web.Response:
        document: dict[str, Any] = {}
        for platform, token in self.tokens.items():
            document[platform] = await self._conversation(platform, token)
        life = await self.life(self.last) if self.last and self.life else None
        document["life"] = life_document(life) if life else None
        return web.json_response(document)

    async def _conversation(self, platform: str, token: str) -> dict[str, Any]:
        async with self.session.get(f"{self.control}/_control/{platform}/{token}/sent") as answer:
            items = (await answer.json())["items"]
        said = self.said[platform]
        replies = [
            {"role": "bot", "text": item["text"], "at": item["at"], "entities": item.get("entities")}
            for item in items
            if item["kind"] == "message"
        ]
        waiting = bool(said) and said[-1]["at"] > max((reply["at"] for reply in replies), default=0.0)
        typing = waiting and any(item["kind"] == "typing" for item in items)
        messages = sorted([*said, *replies], key=lambda message: message["at"])
        return {"messages": messages[-50:], "typing": typing}


def life_document(life: Life) -> dict[str, Any]:
    """A message's steps with milliseconds since it was accepted; a step that has not happened has none."""
    sent = [part.ended_at for part in life.parts if part.ended_at is not None]
    steps = {
        "accepted": life.accepted_at,
        "claimed": life.claimed_at,
        "asked": life.asked_at,
        "answered": life.ended_at,
        "delivered": max(sent) if sent and len(sent) == len(life.parts) else None,
    }
    return {
        "id": life.id,
        "platform": life.key.platform,
        "status": life.status,
        "attempts": life.attempts,
        "parts": len(life.parts),
        "text": (life.text or "")[:120],
        "steps": [
            {"name": name, "ms": None if at is None else max(0.0, round((at - life.accepted_at) * 1000, 1))}
            for name, at in steps.items()
        ],
    }
