"""Silence on a connection is noticed, and words put it off."""

from __future__ import annotations

import asyncio

import pytest

from adapters.discord.silence import heard_within

SILENCE = 0.1


async def _talk(seconds: float) -> float:
    """Talk that long and then fall silent; returns when the last word was."""
    loop = asyncio.get_running_loop()
    began = last = loop.time()
    try:
        async with heard_within(SILENCE) as heard:
            while loop.time() < began + seconds:
                heard()
                last = loop.time()
                await asyncio.sleep(0)
            await asyncio.Event().wait()
    except TimeoutError:
        return last
    raise AssertionError


@pytest.mark.parametrize("seconds", [0.0, 3 * SILENCE])
async def test_a_silence_counts_from_the_last_word(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    last = await _talk(seconds)

    assert seconds <= last - began + 0.05
    assert loop.time() >= last + SILENCE


async def test_an_error_inside_is_what_comes_out() -> None:
    with pytest.raises(ConnectionError):
        async with heard_within(SILENCE):
            raise ConnectionError
