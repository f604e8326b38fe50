"""What every dispatcher of a process shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeVar

from gateway.errors import Transient
from gateway.messages import ConversationKey, PlatformName, User
from gateway.pipeline.notices import Notices
from gateway.pipeline.presence import Presence
from gateway.pipeline.rendering import Rendering
from gateway.ports import Clock, Completions, Journal, Lease, Observer
from gateway.settings.models import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Tools:
    """The stages around it, the settings of this moment, time and chance."""

    journal: Journal
    completions: Completions
    current: Callable[[], Settings]
    notices: Notices
    rendering: Rendering
    presence: Presence
    clock: Clock
    observer: Observer
    jitter: Callable[[], float]
    user_for: Callable[[PlatformName, str, str], User]
    held: Callable[[ConversationKey], bool] = lambda _: False
    """Whether messages of this conversation have to wait, because an operator paused it."""
    hold: Callable[[str], AbstractAsyncContextManager[Lease]] | None = None
    """How a lease is had where it has to be this process's turn; None: as the journal gives it."""
    elsewhere: Callable[[str], bool] = lambda _: False
    """Whether a bot that this process does not know is in a newer configuration: its messages wait for that one."""

    async def surely(self, write: Callable[[], Awaitable[T]]) -> T:
        """An answer in hand is not thrown away because the journal cannot write just now."""
        while True:
            try:
                return await write()
            except Transient:
                await self.clock.sleep(1.0)
