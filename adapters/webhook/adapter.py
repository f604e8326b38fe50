"""One bot's webhook: the keys its callers sign with, and where their answers are sent, if anywhere."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack

from adapters.webhook import callback, render, signing
from adapters.webhook.callback import Endpoint, Gone
from gateway.errors import Permanent, Transient
from gateway.messages import Delivery, Life, Receipt
from gateway.ports import Host
from gateway.settings.models import WebhookSettings

DISABLED = "callback_disabled"
"""The host remembers under this key which endpoint wants no more callbacks."""
_REMEDY = (
    "callbacks are disabled: the endpoint answered 410 Gone"
    " (bring it back and restart the channel, or change callback_url)"
)


class WebhookAdapter:
    """Answers are always there to be read from the journal; with a `callback_url` they are sent, too.

    `base_url` is what status addresses begin with. An endpoint that answered 410 is left alone until the channel is
    restarted (`forgiving`) or has another URL.
    """

    idempotent = True

    def __init__(
        self, bot: str, section: WebhookSettings, *, base_url: str = "", forgiving: bool = False
    ) -> None:
        self.bot = bot
        self.keys = tuple(signing.key(secret.get_secret_value()) for secret in section.secret)
        self._url, self._allow = section.callback_url, section.callback_allow
        self._base_url, self._forgiving = base_url, forgiving
        self._disabled = False
        self._host: Host | None = None
        self._endpoint: Endpoint | None = None

    async def run(self, host: Host) -> None:
        """There is nothing to connect to: the routes serve it while it runs."""
        async with AsyncExitStack() as stack:
            if self._url is not None:
                self._disabled = await self._recall(host, self._url)
                self._endpoint = await stack.enter_async_context(Endpoint(self._url, self._allow))
            self._host = host
            host.ready("webhook")
            if self._disabled:
                host.degraded(_REMEDY)
            await asyncio.Event().wait()

    async def front(self, host: Host) -> bool:  # noqa: ARG002 - the contract's
        """Callers may come to any process: the keys are all that the routes need."""
        return True

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the answer that this is the last part of. Without an endpoint a committed part is delivered."""
        if self._url is None or delivery.index < delivery.count - 1:
            return Receipt()
        if self._host is None or self._endpoint is None:
            raise Transient("the webhook is not running", scope="channel")
        life = await self._host.message(delivery.id)
        if life is None:
            raise Permanent("the conversation was forgotten")
        if life.turn == delivery.owner:  # else it was refused, as its caller knows, or was asked again since
            await self._call_back(self._host, self._endpoint, delivery, life)
        return Receipt()

    async def _call_back(self, host: Host, endpoint: Endpoint, delivery: Delivery, life: Life) -> None:
        if self._disabled:
            raise Permanent(_REMEDY)
        now = host.clock.now()
        body = callback.event(delivery, life, render.status_url(self._base_url, self.bot, life.id), host.text)
        status, retry_after = await endpoint.post(body, callback.headers(self.keys, delivery.id, body, now))
        error = callback.judge(status, retry_after, now)
        if isinstance(error, Gone):
            await self._disable(host)
        if error is not None:
            raise error

    async def _disable(self, host: Host) -> None:
        self._disabled = True
        host.degraded(_REMEDY)
        await host.remember(DISABLED, _fingerprint(self._url or ""))

    async def _recall(self, host: Host, url: str) -> bool:
        """Whether this endpoint is disabled; what is known of another one is forgotten."""
        known = await host.recall(DISABLED)
        if known is None or (known == _fingerprint(url) and not self._forgiving):
            return known is not None
        await host.remember(DISABLED, None)
        return False


def _fingerprint(url: str) -> bytes:
    """A URL may carry a token, so it is not what is remembered."""
    return hashlib.sha256(url.encode()).digest()
