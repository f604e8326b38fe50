"""The cheapest Telegram and Sensay that can be had: what is measured against them is the gateway, not them.

One asyncio protocol on raw sockets, canned answers, no checks; the sandbox is for truth, this is for load. It keeps
when each question arrived and each answer was sent, by the text, which is therefore different each time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
OK = b'{"ok":true,"result":true}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


def parameters(body: bytes) -> Json:
    """Of a call, in JSON or as a form."""
    called: Json = json.loads(body) if body.startswith(b"{") else dict(parse_qsl(body.decode()))
    return called


class Bot:
    """One token's queue of updates; `holder` waits for the next one."""

    def __init__(self) -> None:
        self.updates: list[Json] = []
        self.holder: Connection | None = None


class Peer:
    """`delay`: seconds that a completion takes. Times are the loop's."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.bots: defaultdict[str, Bot] = defaultdict(Bot)
        self.said: dict[str, float] = {}
        self.asked: dict[str, float] = {}
        self.answered: dict[str, float] = {}
        self.heard: dict[str, float] = {}
        self.requests: defaultdict[str, int] = defaultdict(int)
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None

    async def open(self) -> str:
        """Listen; returns the address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=2048)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def polled(self) -> int:
        """How many bots are being held in a long poll."""
        return sum(bot.holder is not None for bot in self.bots.values())

    def say(self, token: str, user: int, text: str) -> None:
        """A person writes."""
        number = next(self._numbers)
        sender = {"id": user, "is_bot": False, "first_name": "Robin", "language_code": "en"}
        message = {
            "message_id": number,
            "from": sender,
            "chat": {"id": user, "type": "private", "first_name": "Robin"},
            "date": int(time.time()),
            "text": text,
        }
        bot = self.bots[token]
        bot.updates.append({"update_id": number, "message": message})
        self.said[text] = time.perf_counter()
        if bot.holder is not None:
            holder, bot.holder = bot.holder, None
            holder.answer(bot.updates)

    def forget(self) -> None:
        """Begin anew: the times of what was said so far."""
        for times in (self.said, self.asked, self.answered, self.heard):
            times.clear()
        self.requests.clear()


class Connection(asyncio.Protocol):
    """One HTTP connection, requests one after the other."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.loop = asyncio.get_running_loop()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment] - uvloop's has no common base

    def connection_lost(self, _: Exception | None) -> None:
        for bot in self.peer.bots.values():
            if bot.holder is self:
                bot.holder = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) >= length:
            self.buffer = rest[length:]
            self.request(head.split(b" ", 2)[1].decode(), rest[:length])

    def request(self, path: str, body: bytes) -> None:
        if path.startswith("/bot"):
            token, _, method = path[4:].partition("/")
            self.peer.requests[method] += 1
            self.telegram(token, method, body)
        elif path.endswith("completions/telegram"):
            self.peer.requests["complete"] += 1
            self.complete(json.loads(body)["content"])
        else:
            self.write(b'{"success":true,"name":"Peer"}')

    def telegram(self, token: str, method: str, body: bytes) -> None:
        match method:
            case "getUpdates":
                self.poll(self.peer.bots[token], parameters(body))
            case "getMe":
                me = {"id": 7, "is_bot": True, "first_name": "Peer", "username": "peer_bot"}
                self.answer(me)
            case "sendMessage":
                text = str(parameters(body)["text"]).removeprefix("Answer to ")
                self.peer.heard[text] = time.perf_counter()
                self.answer({"message_id": 1, "date": 0, "chat": {"id": 1, "type": "private"}})
            case "getMyCommands":
                self.answer([])
            case _:
                self.write(OK)

    def poll(self, bot: Bot, asked: Json) -> None:
        offset = int(asked.get("offset") or 0)
        bot.updates = [update for update in bot.updates if update["update_id"] >= offset]
        if bot.updates or not int(asked.get("timeout") or 0):
            self.answer(bot.updates[:100])
        else:
            bot.holder = self

    def complete(self, question: str) -> None:
        self.peer.asked[question] = time.perf_counter()
        if self.peer.delay:
            self.loop.call_later(self.peer.delay, self.completed, question)
        else:
            self.completed(question)

    def completed(self, question: str) -> None:
        self.peer.answered[question] = time.perf_counter()
        self.write(json.dumps({"success": True, "content": f"Answer to {question}"}).encode())

    def answer(self, result: Any) -> None:
        self.write(json.dumps({"ok": True, "result": result}).encode())

    def write(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD % (len(body), body))
