"""Which turn a task works for, so that facts of the layers below can say so."""

from __future__ import annotations

from contextvars import ContextVar

turn: ContextVar[str | None] = ContextVar("turn", default=None)
"""Set by the task of a turn; tasks that it starts inherit it."""
