"""Conversations for the pages: each page of Sensay's is asked for once in a while, whoever looks and however often.

Where a cursor is, the answer stays what it is: kept for long. What is newest is kept for moments.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from gateway.errors import GatewayError, InvalidArguments, Permanent
from gateway.insight.shelf import Kept, Shelf
from gateway.ports import Clock
from gateway.sensay.api.conversations import (
    Conversation,
    Conversations,
    Group,
    Message,
    groups_newest_first,
    newest_first,
)
from gateway.sensay.api.operation import Door
from gateway.sensay.api.values import Page
from gateway.settings.models import Bot, Settings
from gateway.web.talks import MOST_OPEN, Gap, Line, Mention, Opened, Piece, Sort, Talk, Talks, Thread

T = TypeVar("T")
BY_PAGE, LIMIT, AT_ONCE = 24, 20, 100
"""Conversations and groups of a page; messages that a gap opens by."""
FRESH, STABLE = 15.0, 600.0
"""Seconds that what is newest, and what a cursor pins down, are kept."""
MOST, HEAVIEST, KNOWN = 300, 8_000_000, 2_000
"""Answers, characters of theirs, and names of conversations that are remembered."""
_ORDERS: dict[Sort, tuple[str, str]] = {
    "latest": ("lastReplicaReplyAt", "desc"),
    "replies": ("replicaReplies", "desc"),
    "begun": ("firstMessageAt", "desc"),
}
_BAD_REQUEST = 400


class Reading:
    """`door` leads to Sensay for an organisation, as its lowest class. Implements `gateway.web.talks.Reader`."""

    def __init__(self, current: Callable[[], Settings], door: Callable[[str], Door], clock: Clock) -> None:
        self._current, self._door = current, door
        self._shelf = Shelf(clock, most=MOST, weight=HEAVIEST)
        self._listed: OrderedDict[tuple[str, str], Talk] = OrderedDict()

    def close(self) -> None:
        self._shelf.close()

    # --- the list ---

    async def talks(self, bot: str, page: int, sort: Sort) -> Talks:
        one = self._bot(bot)
        by, order = _ORDERS[sort]
        kept = await self._kept(
            (one.organization, one.replica, "list", page, sort),
            FRESH,
            lambda: self._client(one).page(
                one.replica, page=page, page_size=BY_PAGE, sort_by=by, sort_order=order
            ),
        )
        items = tuple(map(_talk, kept.value.items))
        self._remember(one, items)
        total = kept.value.total
        pages = None if total is None else max(1, -(-total // BY_PAGE))
        return Talks(items, page, kept.at, total, pages)

    # --- one conversation ---

    async def thread(
        self,
        bot: str,
        conversation: str,
        *,
        before: str | None = None,
        after: str | None = None,
        opened: Collection[str] = (),
    ) -> Thread:
        one = self._bot(bot)
        try:
            kept = await self._mentions(one, conversation, before, after)
        except InvalidArguments:
            raise
        except Permanent as error:
            if error.context.get("status") != _BAD_REQUEST or (before or after) is None:
                raise
            return replace(await self.thread(bot, conversation, opened=opened), lost=True)
        pieces: list[Piece] = []
        for piece in _pieces(kept.value, before, after):
            pieces += await self._opened(bot, conversation, piece, set(list(opened)[:MOST_OPEN]))
        earlier, later = _neighbours(kept.value, before, after)
        talk = self._listed.get((one.replica, conversation))
        return Thread(tuple(pieces), kept.at, earlier, later, talk)

    async def part(self, bot: str, conversation: str, gap: Gap) -> tuple[Piece, ...]:
        one = self._bot(bot)
        side, _, cursor = gap.key.partition("-")
        size = min(AT_ONCE, gap.count or AT_ONCE)
        query: dict[str, Any] = {"limit": size} | ({f"{side}_uuid": cursor} if cursor else {})
        kept = await self._kept(
            (one.organization, one.replica, "messages", conversation, gap.key, size),
            STABLE if side == "before" else FRESH,
            lambda: self._client(one).messages_page(one.replica, conversation, **query),
        )
        ordered = newest_first(kept.value.items)
        ordered = ordered[::-1] if side == "after" else ordered
        taken = _until(ordered[:size], gap.until)
        lines = tuple(map(_line, taken if side == "after" else taken[::-1]))
        left = gap.count - len(lines) if gap.count else 0
        shown = Opened(gap.key, lines)
        if len(taken) < size or (gap.count and left <= 0):
            return (shown,)
        if side == "after":
            return shown, Gap(f"after-{lines[-1].id}", left)
        return Gap(f"before-{lines[0].id}", left, gap.until), shown

    async def _opened(self, bot: str, conversation: str, piece: Piece, keys: set[str]) -> list[Piece]:
        """The piece, or what it stands for, if it is to be opened."""
        if not isinstance(piece, Gap) or piece.key not in keys:
            return [piece]
        try:
            found = await self.part(bot, conversation, piece)
        except GatewayError as error:
            return [replace(piece, error=error)]
        left = keys - {piece.key}
        return [one for part in found for one in await self._opened(bot, conversation, part, left)]

    async def _mentions(
        self, one: Bot, conversation: str, before: str | None, after: str | None
    ) -> Kept[Page[Group]]:
        return await self._kept(
            (one.organization, one.replica, "mentions", conversation, before, after),
            STABLE if before else FRESH,
            lambda: self._client(one).mentions_page(
                one.replica, conversation, limit=LIMIT, before_uuid=before, after_uuid=after
            ),
        )

    def _remember(self, one: Bot, talks: Sequence[Talk]) -> None:
        """What the list says of conversations is said on their pages, without another request."""
        for talk in talks:
            self._listed[one.replica, talk.id] = talk
            self._listed.move_to_end((one.replica, talk.id))
        while len(self._listed) > KNOWN:
            self._listed.popitem(last=False)

    # --- asking ---

    def _bot(self, name: str) -> Bot:
        return self._current().bots[name]

    def _client(self, one: Bot) -> Conversations:
        return Conversations(self._door(one.organization))

    async def _kept(
        self, key: Hashable, keep: float, fetch: Callable[[], Awaitable[Page[T]]]
    ) -> Kept[Page[T]]:
        return await self._shelf.get(key, fetch, keep=keep, weigh=_weight)


def _weight(page: Page[Any]) -> int:
    """About so many characters."""
    return sum(200 + sum(200 + len(m.content) for m in _messages(item)) for item in page.items)


def _messages(item: Any) -> Sequence[Message]:
    return (item,) if isinstance(item, Message) else item.messages if isinstance(item, Group) else ()


# --- from Sensay's words to the pages' ---


def _pieces(page: Page[Group], before: str | None, after: str | None) -> list[Piece]:
    """Oldest first. A gap is found again by the message next to it, on the page or beyond it: the cursor."""
    groups = groups_newest_first(page.items)[::-1]
    return [
        _gap(groups, index, before, after)
        if group.placeholder
        else Mention(tuple(map(_line, newest_first(group.messages)[::-1])))
        for index, group in enumerate(groups)
        if group.placeholder or group.messages
    ]


def _gap(groups: Sequence[Group], index: int, before: str | None, after: str | None) -> Gap:
    newer = next((one for one in groups[index + 1 :] if one.messages), None)
    older = next((one for one in reversed(groups[:index]) if one.messages), None)
    end = newest_first(newer.messages)[-1].uuid if newer else before
    start = newest_first(older.messages)[0].uuid if older else after
    key = f"before-{end}" if end else f"after-{start}" if start else "all"
    return Gap(key, groups[index].count or 0, until=start if end else None)


def _neighbours(page: Page[Group], before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Cursors. Sensay tells whether there is more in the direction that was asked for; behind it there is."""
    uuids = [m.uuid for group in groups_newest_first(page.items) for m in newest_first(group.messages)]
    newest, oldest = (uuids[0], uuids[-1]) if uuids else (before or after, None)
    if after is not None:
        return oldest or after, newest
    return (None if page.has_more is False else oldest), newest


def _until(messages: Sequence[Message], stop: str | None) -> Sequence[Message]:
    ends = (index for index, message in enumerate(messages) if message.uuid == stop)
    return messages[: next(ends, len(messages))]


def _talk(one: Conversation) -> Talk:
    replies = one.replica_reply_count if one.replica_reply_count is not None else one.assistant_reply_count
    return Talk(
        one.uuid,
        one.conversation_name,
        one.source,
        one.conversation_type == "group",
        one.message_count,
        replies,
        moment(one.first_message_at),
        moment(one.last_message_at or one.last_replica_reply_at),
    )


def _line(message: Message) -> Line:
    at = moment(message.created_at)
    return Line(message.uuid, message.role, message.content, message.sender_name, message.source, at)


def moment(text: str | None) -> float | None:
    """Seconds since the epoch; None for what is no time."""
    try:
        at = datetime.fromisoformat(text or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
