"""The short form of `make chaos-cluster`: what people see of two killed processes and a rolling restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cluster_chaos import PODS, chaos, quantile

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LONGER = 5.0
"""Seconds that nobody waits more in a rolling restart."""


async def test_nothing_is_lost_or_doubled_when_processes_are_killed_and_replaced(tmp_path: Path) -> None:
    toll = await chaos(tmp_path, kills=2, calm=8.0)

    assert [] == toll.lost
    assert set() == set(toll.doubled) - {"telegram"}  # of whose sends an unknown outcome is tried again here
    assert 0 == toll.asked_twice
    assert 0 == toll.refused
    assert quantile(toll.takeovers, 0.95) <= 12.0
    assert toll.conflicts <= PODS * len(toll.takeovers)
    assert max(toll.rolling) <= max(toll.calm) + LONGER
