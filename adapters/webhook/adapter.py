"""One bot's webhook: the keys its callers sign with. Nothing is sent: answers are read from the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import SecretStr

from adapters.webhook import signing
from gateway.messages import Delivery, Receipt
from gateway.ports import Host


class WebhookAdapter:
    """Has several keys while they are rotated."""

    idempotent = True

    def __init__(self, bot: str, secrets: Sequence[SecretStr]) -> None:
        self.bot = bot
        self.keys = tuple(signing.key(secret.get_secret_value()) for secret in secrets)

    async def run(self, host: Host) -> None:
        """There is nothing to connect to: the routes serve it while it runs."""
        host.ready("webhook")
        await asyncio.Event().wait()

    async def send(self, delivery: Delivery) -> Receipt:  # noqa: ARG002 - contract
        """A committed part is delivered."""
        return Receipt()
