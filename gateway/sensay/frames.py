"""An answer that comes in pieces, read as it arrives. Pure.

Sensay streams with Vercel's AI SDK, whose protocol has two known versions; which one comes is told by its first line.
Version 4 has a letter or digit, a colon and JSON on each line: `0:"text"`, `3:"error"`, `d:{…}` at the end. Version 5
are server-sent events, `data: {"type": "text-delta", "delta": "text"}`, ending in `data: [DONE]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

Version = Literal["v4", "v5"]
_V4 = re.compile(rb"[0-9a-z]:")
_V5 = re.compile(rb"(data|event|id|retry)?:|(data|event|id|retry)$")
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A carriage return at the end of what is here may be the first half of one."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENOUGH = 8
"""Bytes that tell what comes."""


class Frames:
    """Feed it the body, then `close` it. Each further piece of the answer's text goes to `on_delta`.

    `version` is None while, and if, the body is no stream but JSON or anything else: then nothing is done with it.
    `whole` tells whether the answer came to its proper end, `failed` whether the stream said that something broke.
    """

    def __init__(self, on_delta: Callable[[str], None]) -> None:
        self._on_delta = on_delta
        self._rest = b""
        self._pieces: list[str] = []
        self._data: list[bytes] = []
        self._known = self._ended = self._garbled = False
        self.version: Version | None = None
        self.failed = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def whole(self) -> bool:
        return self._ended and not self.failed and not self._garbled

    def feed(self, chunk: bytes) -> None:
        """The next bytes, cut anywhere."""
        if self._known and self.version is None:
            return
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        for line in lines:
            self._line(line)
        if len(self._rest) >= _ENOUGH:
            self._recognise(self._rest)

    def close(self) -> None:
        """There is no more: a last line need not have an end."""
        last, self._rest = self._rest.rstrip(b"\r"), b""
        self._line(last)
        if self.version == "v5":
            self._line(b"")

    def _line(self, line: bytes) -> None:
        self._recognise(line)
        line = line.removeprefix(_BYTE_ORDER_MARK)
        if self.version == "v4" and line.strip():
            self._v4(line)
        elif self.version == "v5":
            self._v5(line)

    def _recognise(self, line: bytes) -> None:
        if self._known or not line.strip():
            return
        self._known, line = True, line.removeprefix(_BYTE_ORDER_MARK)
        if _V4.match(line):
            self.version = "v4"
        elif _V5.match(line):
            self.version = "v5"

    def _v4(self, line: bytes) -> None:
        code, colon, data = line.partition(b":")
        match code:
            case b"0":
                self._piece(self._read(data))
            case b"3":
                self.failed = True
            case b"d":
                self._end(self._read(data))
            case _:
                self._garbled |= not colon

    def _v5(self, line: bytes) -> None:
        """Fields of an event, up to an empty line; comments and other fields than `data` do not matter here."""
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            self._event(data)

    def _event(self, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            self._ended = True
            return
        said = self._read(data)
        match said.get("type") if isinstance(said, dict) else None:
            case "text-delta":
                self._piece(said.get("delta", said.get("textDelta")))
            case "error" | "abort":
                self.failed = True
            case "finish":
                self._end(said)
            case _:  # reasoning, tools, steps: not what the person asked for
                pass

    def _piece(self, text: Any) -> None:
        if not isinstance(text, str):
            self._garbled = True
        if self._garbled or self._ended or not text:
            return
        self._pieces.append(text)
        self._on_delta(text)

    def _end(self, said: Any) -> None:
        self._ended = True
        self.failed |= isinstance(said, dict) and said.get("finishReason") == "error"

    def _read(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError:
            self._garbled = True
            return None
