from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.sandbox.server import Sandbox
from tests.contracts.completions import CompletionsContract
from tests.sensay.world import World

CASES = [
    (dialect, identity, errors)
    for dialect in ("openapi", "guide", "generic")
    for identity, errors in (("linked", "openapi"), ("native", "guide"))
]


class SandboxWorld(World):
    """Sensay's client against the sandbox."""

    _TROUBLE: dict[str, dict[str, Any]] = {
        "answer lost": {"operation": "complete", "kind": "drop_after"},
        "question lost": {"operation": "complete", "kind": "drop_before"},
        "limited": {"operation": "complete", "kind": "status", "status": 429, "retry_after": 7.0},
        "thinking": {"operation": "answer", "kind": "status", "status": 500},
    }

    @property
    def sent(self) -> int:
        return len(self.requests)

    def now(self) -> float:
        return self.clock.now()

    def trouble(self, what: str) -> None:
        self.fault(**self._TROUBLE[what])

    def users_created(self) -> list[Any]:
        return [request for request in self.requests if request.operation == "ensure_user"]


class TestSensayClient(CompletionsContract):
    @pytest.fixture(params=CASES, ids="-".join)
    async def world(self, request: pytest.FixtureRequest) -> AsyncIterator[SandboxWorld]:
        dialect, identity, errors = request.param
        async with Sandbox() as box:
            box.sensay.errors = errors
            world = SandboxWorld(box, dialect=dialect, identity=identity)
            yield world
            await world.completions.close()
