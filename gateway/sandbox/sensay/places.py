"""Where a message was said, out of what its request tells of the platform."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from gateway.sandbox.sensay.bodies import DiscordData, GuideTelegramCompletion, TelegramData
from gateway.sandbox.sensay.calls import given
from gateway.sandbox.sensay.talk import ALONE, Place


def place_of(body: Any) -> Place:
    telegram, discord = getattr(body, "telegram_data", UNSET), getattr(body, "discord_data", UNSET)
    if isinstance(telegram, TelegramData):
        return _on_telegram(telegram)
    if isinstance(discord, DiscordData):
        return _on_discord(discord)
    if isinstance(body, GuideTelegramCompletion) and body.telegram_chat_id != body.telegram_user_id:
        return Place(group=body.telegram_chat_id)
    return ALONE


def _on_telegram(data: TelegramData) -> Place:
    if data.chat_type == "private":
        return Place(speaker=given(data.username) or given(data.chat_name))
    thread = given(data.message_thread_id)
    group = f"{data.chat_id}" if thread is None else f"{data.chat_id}/{thread}"
    return Place(group, given(data.chat_name), given(data.username))


def _on_discord(data: DiscordData) -> Place:
    if data.server_id is UNSET:
        return Place(speaker=data.author_name)
    return Place(data.channel_id, data.channel_name, data.author_name)
