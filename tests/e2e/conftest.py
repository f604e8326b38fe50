from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.sandbox.server import Sandbox
from tests.e2e.process import People, Program, configuration, write_configuration


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def people(sandbox: Sandbox, session: ClientSession) -> People:
    return People(sandbox, session)


@pytest.fixture
async def program(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Program]:
    """One bot on all four channels."""
    path = write_configuration(tmp_path, configuration(sandbox, tmp_path))
    program = await Program(["run", "-c", str(path)]).start()
    yield program
    await program.kill()
