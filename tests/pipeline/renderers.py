"""Renderers with a temper of their own. Apart from the tests, so that a worker process imports little."""

from __future__ import annotations

import os
import time

from gateway.messages import Address, Part, Reply


class ProcessRenderer:
    """Says in which process it works."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
        return [Part(text=str(os.getpid()), purpose=reply.purpose, notice=reply.notice)]


class HangingRenderer:
    """Never comes back from a text that begins with x."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
        while reply.text.startswith("x"):
            time.sleep(0.01)
        return ProcessRenderer().render(reply, address)


class DyingRenderer:
    """Takes its process along."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
        os._exit(1)
