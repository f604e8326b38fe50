"""Reply → parts, without letting a long or hostile text hold up the loop.

Short texts render here. Long ones go to a worker process with a deadline; whatever goes wrong there, the reader gets
the plain text: formatting never costs an answer.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from msgspec.structs import replace

from gateway.messages import Address, Part, PlatformName, Reply
from gateway.pipeline.thoughts import without_thoughts
from gateway.ports import Noted, Observer, Renderer

LONG = 8_000
"""Characters from which a text is rendered in the worker."""
DEADLINE = 10.0
PLAIN = 1_900
"""Characters of a plain part: within every platform's limit."""


class Rendering:
    """Owns the worker process, which starts with the first long text."""

    def __init__(self, renderer: Callable[[PlatformName], Renderer], observer: Observer) -> None:
        self._renderer, self._observer = renderer, observer
        self._pool: ProcessPoolExecutor | None = None

    async def parts(
        self, platform: PlatformName, reply: Reply, address: Address, max_parts: int
    ) -> tuple[Part, ...]:
        """Render without the model's thoughts; never raises, never empty for a text that shows something."""
        reply = replace(reply, text=without_thoughts(reply.text))
        if not reply.text.strip():
            return ()
        try:
            renderer = self._renderer(platform)
            if len(reply.text) <= LONG:
                return tuple(renderer.render(reply, address, max_parts=max_parts))
            return await self._in_worker(renderer, reply, address, max_parts)
        except Exception as error:  # noqa: BLE001 - any renderer's fault ends in the plain text
            fields = {"platform": platform, "error": repr(error)[:200], "length": len(reply.text)}
            self._observer(Noted(event="rendering.failed", level="warning", fields=fields))
            return plain(reply, max_parts)

    async def _in_worker(
        self, renderer: Renderer, reply: Reply, address: Address, max_parts: int
    ) -> tuple[Part, ...]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, _render, renderer, reply, address, max_parts)
        try:
            return await asyncio.wait_for(work, DEADLINE)
        except BaseException:
            self.close()  # the worker may be stuck for good: the next long text gets a new one
            raise

    def close(self) -> None:
        if self._pool is not None:
            # there is no public way to stop a worker that is stuck
            for process in list((self._pool._processes or {}).values()):  # noqa: SLF001
                process.kill()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _render(renderer: Renderer, reply: Reply, address: Address, max_parts: int) -> tuple[Part, ...]:
    return tuple(renderer.render(reply, address, max_parts=max_parts))


def plain(reply: Reply, max_parts: int) -> tuple[Part, ...]:
    """Cut without looking at the text; what is beyond `max_parts` is left out with a mark."""
    clean = reply.text.encode("utf-8", "replace").decode()
    pieces = [clean[at : at + PLAIN] for at in range(0, len(clean), PLAIN)][:max_parts]
    if len(clean) > PLAIN * max_parts:
        pieces[-1] = pieces[-1][:-1] + "…"
    return tuple(
        Part(text=piece, purpose=reply.purpose, notice=reply.notice) for piece in pieces if piece.strip()
    )
