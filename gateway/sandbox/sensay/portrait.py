"""A picture for a sample replica, drawn here: hills under a sun, in the replica's colour, as PNG."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import TypeAlias

SIZE = 96
_FINE = 2
"""Samples per pixel and direction, so that edges are smooth."""
_Colour: TypeAlias = tuple[float, float, float]
_WHITE: _Colour = (255.0, 255.0, 255.0)


@cache
def portrait(colour: str) -> bytes:
    """`colour` is #rrggbb."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    rows = b"".join(b"\0" + _row(y, (red, green, blue)) for y in range(SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _row(y: int, colour: _Colour) -> bytes:
    return bytes(value for x in range(SIZE) for value in _pixel(x, y, colour))


def _pixel(x: int, y: int, colour: _Colour) -> tuple[int, ...]:
    steps = [(step + 0.5) / _FINE for step in range(_FINE)]
    points = [_shade((x + right) / SIZE, (y + down) / SIZE) for right in steps for down in steps]
    light = sum(points) / len(points)
    return tuple(round(own + (white - own) * light) for own, white in zip(colour, _WHITE, strict=True))


def _shade(x: float, y: float) -> float:
    """How light a point is, from 0 to 1: the near hill, the far one, the sun, the sky."""
    if y > 0.6 + 0.55 * abs(x - 0.74):
        return 0.0
    if y > 0.42 + 0.7 * abs(x - 0.34):
        return 0.35
    if (x - 0.7) ** 2 + (y - 0.28) ** 2 < 0.012:
        return 1.0
    return 0.55 + 0.25 * y


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
