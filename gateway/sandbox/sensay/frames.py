"""Answers that are written piece by piece, in both versions of the protocol that Sensay's framework has had."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from aiohttp import web

from gateway.sandbox.faults import Fault, hang_up

Version = Literal["v4", "v5", "off"]
_WORD = re.compile(r"\s*\S+\s*$|\s*\S+")
_HEADERS = {
    "v4": {"Content-Type": "text/plain; charset=utf-8", "X-Vercel-AI-Data-Stream": "v1"},
    "v5": {"Content-Type": "text/event-stream", "X-Vercel-AI-UI-Message-Stream": "v1"},
}


def wanted(request: web.Request) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "").lower()


def streamed(
    request: web.Request, version: Literal["v4", "v5"], text: str, seconds: float, fault: Fault | None
) -> web.Response:
    """The answer word by word over `seconds`. `fault` happens in its middle: a pause, an error, garbage or a cut."""
    frames = list(_v4(text) if version == "v4" else _v5(text))
    body = _body(request, frames, version, seconds, fault)
    return web.Response(body=body, headers=_HEADERS[version] | {"Cache-Control": "no-cache"})


async def _body(
    request: web.Request, frames: list[bytes], version: str, seconds: float, fault: Fault | None
) -> AsyncIterator[bytes]:
    for index, frame in enumerate(frames):
        if fault is not None and index == len(frames) // 2:
            if fault.kind == "delay":
                await asyncio.sleep(fault.seconds)
            elif fault.kind in ("status", "malformed"):
                yield _ERRORS[version] if fault.kind == "status" else _GARBAGE[version]
                return
            else:
                hang_up(request)
                raise ConnectionResetError("sensay stream: connection dropped on purpose")
        yield frame
        await asyncio.sleep(seconds / len(frames))


_ERRORS = {
    "v4": b'3:"An error occurred."\n',
    "v5": b'data: {"type":"error","errorText":"An error occurred."}\n\ndata: [DONE]\n\n',
}
_GARBAGE = {
    "v4": b'0:"cut\nd:{"finishReason":"stop"}\n',
    "v5": b'data: {"type":"text-del\n\ndata: [DONE]\n\n',
}


def _v4(text: str) -> Iterator[bytes]:
    yield b'f:{"messageId":"msg-1"}\n'
    for word in _WORD.findall(text):
        yield b"0:" + json.dumps(word).encode() + b"\n"
    end = b'"finishReason":"stop","usage":{"promptTokens":0,"completionTokens":0}'
    yield b"e:{" + end + b',"isContinued":false}\n'
    yield b"d:{" + end + b"}\n"


def _v5(text: str) -> Iterator[bytes]:
    yield (
        _event({"type": "start"}) + _event({"type": "start-step"}) + _event({"type": "text-start", "id": "0"})
    )
    for word in _WORD.findall(text):
        yield _event({"type": "text-delta", "id": "0", "delta": word})
    yield (
        _event({"type": "text-end", "id": "0"}) + _event({"type": "finish-step"}) + _event({"type": "finish"})
    )
    yield b"data: [DONE]\n\n"


def _event(said: dict[str, str]) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"
