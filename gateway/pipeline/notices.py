"""The fixed texts: chosen by the bot's overrides and the user's language, filled in, rendered for the platform."""

from __future__ import annotations

from collections.abc import Callable

from gateway.messages import Address, Part, PlatformName, Profile, Purpose, Reply, TextName
from gateway.pipeline.rendering import plain
from gateway.policy import texts
from gateway.ports import Renderer
from gateway.settings.models import Bot, Settings

MOST = 10
"""Parts of a fixed text."""
KEPT = 1000
"""Rendered texts that are kept: every message brings those that it might end with, and hardly ever needs one."""
_PURPOSE: dict[TextName, Purpose] = {"failed": "error", "quota": "error", "greeting": "greeting"}


class Notices:
    """Says what is said without asking the replica. `profile(replica)` is what is known of it so far, without
    waiting.
    """

    def __init__(
        self,
        current: Callable[[], Settings],
        renderer: Callable[[PlatformName], Renderer],
        profile: Callable[[str], Profile | None],
    ) -> None:
        self._current, self._renderer, self._profile = current, renderer, profile
        self._kept: dict[tuple[PlatformName, TextName, str], tuple[Part, ...]] = {}

    def text(self, bot: str, name: TextName, locale: str | None) -> str:
        """The text with its placeholders; the greeting is the replica's own where the configuration has none."""
        settings: Bot | None = self._current().bots.get(bot)
        override = getattr(settings.texts, name) if settings else None
        if override is None and name == "greeting" and settings is not None:
            known = self._profile(settings.replica)
            override = known.greeting if known else None
        return texts.choose(name, override, locale)

    def parts(
        self,
        bot: str,
        platform: PlatformName,
        name: TextName,
        address: Address,
        *,
        locale: str | None = None,
        reference: str | None = None,
        seconds: float | None = None,
    ) -> tuple[Part, ...]:
        """Ready for the outbox."""
        text = self.text(bot, name, locale)
        if name == "failed" and reference:
            text = texts.failed(text, reference)
        said = texts.fill(text, reference=reference, seconds=seconds)
        return self._kept.get((platform, name, said)) or self._rendered(platform, name, said, address)

    def _rendered(
        self, platform: PlatformName, name: TextName, said: str, address: Address
    ) -> tuple[Part, ...]:
        """An address only bounds the number of parts, so that a text of one part is the same wherever it goes."""
        reply = Reply(text=said, purpose=_PURPOSE.get(name, "notice"), notice=name)
        try:
            parts = tuple(self._renderer(platform).render(reply, address))
        except Exception:  # noqa: BLE001 - an operator's text that cannot be formatted must not keep messages out
            return plain(reply, MOST)
        if len(parts) == 1:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[platform, name, said] = parts
        return parts
