"""Integrations: bots that Sensay would run itself. Here nobody runs them; they are only kept and shown."""

from __future__ import annotations

from aiohttp import web

from gateway.sandbox.sensay.calls import Call, answer
from gateway.sandbox.sensay.replies import Accepted, Done, Integrated, IntegratedLater
from gateway.sandbox.sensay.state import Hosting
from gateway.sandbox.sensay.wire import Refusal

STARTS_FOR = 60.0
"""Seconds that a bot takes to start; who wants it away meanwhile gets a 202."""


async def create_telegram(call: Call) -> web.StreamResponse:
    return _telegram(call, call.body.telegram_token, call.body.mention)


async def create_telegram_as_in_guide(call: Call) -> web.StreamResponse:
    return _telegram(call, call.body.bot_token, call.body.service_name)


def _telegram(call: Call, token: str, name: str) -> web.Response:
    """202 when another bot has to stop first."""
    replica = call.own_replica
    before = replica.telegram
    replica.telegram = Hosting(call.organization.number(), token, name, call.now)
    if before is not None:
        later = "The bot is started as soon as the one before it has stopped"
        return answer(IntegratedLater(id=replica.telegram.id, message=later), status=202)
    return answer(Integrated(id=replica.telegram.id))


async def delete_telegram(call: Call) -> web.StreamResponse:
    replica = call.own_replica
    hosted = replica.telegram
    if hosted is None:
        raise Refusal(404, "The replica has no Telegram integration")
    replica.telegram = None
    if call.now - hosted.since < STARTS_FOR:
        return answer(Accepted(message="The bot is still starting; it is stopped after that"), status=202)
    return answer(Done())


async def create_discord(call: Call) -> web.StreamResponse:
    replica = call.own_replica
    replica.discord = Hosting(
        call.organization.number(), call.body.discord_token, f"{replica.slug}-discord", call.now
    )
    return answer(Done())
