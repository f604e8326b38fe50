"""Whether a bot's section works at Telegram: the token, privacy mode, the webhook. Two requests that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from telegram.error import InvalidToken, TelegramError

from adapters.telegram.failures import rejected_token
from adapters.telegram.routes import UPDATES
from adapters.telegram.transport import BotApi, Client, FloodError
from gateway.ports import Clock, Finding, Probed
from gateway.settings.models import TelegramSettings

MANY = 100
"""Updates that wait at Telegram before it is worth a word."""
LATELY = 3600.0
"""Seconds for which a failed delivery is of interest."""
PORTS = (443, 80, 88, 8443)
"""The only ones that Telegram calls webhooks at."""


async def probe(
    client: Client, section: TelegramSettings, url: str | None, clock: Clock
) -> tuple[Finding, ...]:
    """`url` is where this bot's webhook would be."""
    try:
        me = await client.call("getMe")
        info = await client.call("getWebhookInfo")
    except InvalidToken:
        refused = rejected_token()
        return (Finding(severity="error", what=str(refused), remedy=refused.remedy, path="token"),)
    except FloodError as error:
        what = f"not looked at: Telegram asks to wait {error.seconds:g} s"
        return (Finding(severity="warning", what=what, remedy="look again later", path="token"),)
    except TelegramError as error:
        what = f"no answer from Telegram: {error.message}"[:300]
        return (
            Finding(severity="error", what=what, remedy="check the network and platforms.telegram.api_url"),
        )
    me, info = (answer if isinstance(answer, dict) else {} for answer in (me, info))
    name = Finding(severity="ok", what=f"the token is that of @{me.get('username')}", path="token")
    return (
        name,
        *_privacy(me, section),
        *_webhook(info, section, url),
        *_waiting(info, section, clock.now()),
    )


def _privacy(me: dict[str, Any], section: TelegramSettings) -> Iterator[Finding]:
    mode = section.groups.mode
    if mode in ("listen", "open") and me.get("can_read_all_group_messages") is False:
        yield Finding(
            severity="warning",
            what=f"privacy mode is on: in groups Telegram passes on commands and replies only, mode {mode} or not",
            remedy="turn it off with @BotFather (/setprivacy), then remove the bot from its groups and add it again; "
            "or set groups.mode: mention",
            path="groups.mode",
        )
    if mode != "off" and me.get("can_join_groups") is False:
        yield Finding(
            severity="warning",
            what="nobody may add the bot to a group",
            remedy="allow it with @BotFather (/setjoingroups), or set groups.mode: off",
            path="groups.mode",
        )


def _webhook(info: dict[str, Any], section: TelegramSettings, url: str | None) -> Iterator[Finding]:
    found = str(info.get("url") or "")
    if found and found != url:
        yield Finding(
            severity="error",
            what=f"somebody else has set a webhook for this token, at {urlsplit(found).hostname or 'an address'}: "
            "two would take the bot from each other",
            remedy="stop the other one, or use another bot; the gateway takes the webhook away when it starts",
            path="mode",
        )
    elif found and section.mode == "polling":
        yield Finding(
            severity="warning",
            what="the webhook of this gateway is still set; it is taken away when the gateway starts",
            path="mode",
        )
    elif section.mode == "webhook":
        yield from _at(url, registered=bool(found))


def _at(url: str | None, *, registered: bool) -> Iterator[Finding]:
    parts = urlsplit(url or "")
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    if port not in PORTS and parts.scheme == "https":
        yield Finding(
            severity="error",
            what=f"Telegram calls no webhook at port {port}",
            remedy="server.public.base_url needs port 443, 80, 88 or 8443",
            path="mode",
        )
    elif registered:
        yield Finding(severity="ok", what="the webhook is set to this gateway", path="mode")
    else:
        yield Finding(
            severity="ok", what="no webhook is set yet: the gateway sets it when it starts", path="mode"
        )


def _waiting(info: dict[str, Any], section: TelegramSettings, now: float) -> Iterator[Finding]:
    waiting, failed_at = info.get("pending_update_count") or 0, info.get("last_error_date") or 0
    if section.mode == "webhook" and failed_at > now - LATELY:
        yield Finding(
            severity="error" if waiting else "warning",
            what=f"Telegram could not deliver: {info.get('last_error_message') or 'it does not say why'}"[
                :300
            ],
            remedy="see whether server.public.base_url leads to this gateway from outside, with a certificate",
            path="mode",
        )
    if waiting >= MANY:
        yield Finding(
            severity="warning",
            what=f"{waiting} updates wait at Telegram, which keeps them for a day",
            remedy="start the gateway; if it runs, see what `status` says of this bot",
            path="mode",
        )


def webhook_url(base_url: str | None, bot: str) -> str | None:
    return None if base_url is None else base_url + UPDATES.format(bot=bot)


async def probed(
    api_url: str, base_url: str | None, bot: str, section: TelegramSettings, clock: Clock
) -> Probed:
    """A look through a connection of its own."""
    api = BotApi()
    client = Client(section.token.get_secret_value(), api_url, api)
    try:
        findings = await probe(client, section, webhook_url(base_url, bot), clock)
        return Probed(findings=findings, ahead=_ahead(api.date, clock.now()))
    finally:
        await api.close()


def _ahead(date: str | None, now: float) -> float | None:
    """HTTP's dates are whole seconds, of which a half has passed on average."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp() + 0.5 - now
    except ValueError:
        return None
