"""How a replica is asked: the question is stored, time passes, the answer is stored and given."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web
from msgspec import UNSET

from gateway.sandbox.sensay import frames
from gateway.sandbox.sensay.bodies import Source
from gateway.sandbox.sensay.calls import Call, Handler, answer
from gateway.sandbox.sensay.places import place_of
from gateway.sandbox.sensay.replies import (
    Completed,
    OpenAiChoice,
    OpenAiCompleted,
    OpenAiMessage,
    OpenAiUsage,
    Reply,
    Role,
)
from gateway.sandbox.sensay.wire import Refusal, fault_error

if TYPE_CHECKING:
    from gateway.sandbox.sensay.server import SensaySandbox


@dataclass(frozen=True, slots=True)
class Question:
    call: Call
    content: str
    source: Source
    kept: bool

    def keep(self, role: Role, text: str, now: float) -> None:
        if self.kept:
            self.call.organization.talk.say(
                self.call.replica, self.call.speaker, role, text, self.source, now, place_of(self.call.body)
            )


class Completions:
    """The handlers that make a replica speak, with the sandbox's latency, quota, faults and frames."""

    def __init__(self, box: SensaySandbox) -> None:
        self._box = box

    def plain(self, source: Source | None) -> Handler:
        """`source`: where the turn is filed, unless the body says so itself."""

        async def complete(call: Call) -> web.StreamResponse:
            body = call.body
            kept = not getattr(body, "skip_chat_history", False)
            asked = Question(call, body.content, source or body.source, kept)
            return await self._complete(asked, lambda text: Completed(content=text), streams=True)

        return complete

    async def like_openai(self, call: Call) -> web.StreamResponse:
        """Only the last message counts, and nothing is streamed."""
        content = call.body.messages[-1].content
        _ = call.me
        asked = Question(call, content, call.body.source, call.body.store)
        return await self._complete(asked, partial(_like_openai, call, content), streams=False)

    async def _complete(
        self, asked: Question, shown: Callable[[str], Reply], *, streams: bool
    ) -> web.StreamResponse:
        call, box = asked.call, self._box
        replica = call.replica
        self._check_quota(call)
        asked.keep("user", asked.content, call.now)

        def store(text: str) -> None:
            call.organization.completions += 1
            asked.keep("assistant", text, box.now())

        async def speak() -> web.StreamResponse:
            seconds, text = box.think(), replica.answer(asked.content)
            if streams and box.stream != "off" and frames.wanted(call.request):
                return await self._stream(call.request, text, seconds, partial(store, text))
            await asyncio.sleep(seconds)
            store(text)
            return answer(shown(text))

        error = fault_error(box.errors, f"req_{uuid.uuid4().hex[:20]}")
        return await box.faults.around(call.request, "sensay", "answer", speak, error)

    async def _stream(
        self, request: web.Request, text: str, seconds: float, store: Callable[[], None]
    ) -> web.Response:
        """Think for half of the time, and write for the other half."""
        await asyncio.sleep(seconds / 2)
        fault = self._box.faults.take("sensay", "stream")
        if fault is None or fault.kind in ("delay", "drop_after"):
            store()
        version: Literal["v4", "v5"] = "v4" if self._box.stream == "v4" else "v5"
        return frames.streamed(request, version, text, seconds / 2, fault)

    def _check_quota(self, call: Call) -> None:
        limits: Any = getattr(call.body, "usage_limits", UNSET)
        quotas = [] if limits is UNSET else [limits.conversations.monthly_quota]
        quotas += [] if self._box.monthly_quota is None else [self._box.monthly_quota]
        if quotas and call.organization.completions >= min(quotas):
            raise Refusal(429, "Monthly conversation quota exceeded", code="MONTHLY_QUOTA_EXCEEDED")


def _like_openai(call: Call, question: str, text: str) -> OpenAiCompleted:
    asked, said = len(question) // 4 + 1, len(text) // 4 + 1
    return OpenAiCompleted(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(call.now),
        model=call.replica.llm.model,
        choices=[OpenAiChoice(message=OpenAiMessage(content=text))],
        usage=OpenAiUsage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said),
    )
