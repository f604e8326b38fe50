"""The command menu: per scope and language, set in the background and only when it changed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable

from adapters.telegram.addressing import IN_GROUPS
from adapters.telegram.transport import Client
from gateway.ports import Host

SCOPES: dict[str, tuple[str, ...]] = {
    "all_private_chats": ("start", "help", "privacy"),
    "all_group_chats": IN_GROUPS,
}
WORDS: dict[str, dict[str, str]] = {
    "": {
        "ask": "Ask a question",
        "help": "What I can do",
        "privacy": "What happens to your messages",
        "start": "Say hello",
    },
    "de": {
        "ask": "Eine Frage stellen",
        "help": "Was ich kann",
        "privacy": "Was mit deinen Nachrichten geschieht",
        "start": "Hallo sagen",
    },
    "fr": {
        "ask": "Poser une question",
        "help": "Ce que je sais faire",
        "privacy": "Ce que deviennent vos messages",
        "start": "Dire bonjour",
    },
    "es": {
        "ask": "Hacer una pregunta",
        "help": "Lo que puedo hacer",
        "privacy": "Qué pasa con tus mensajes",
        "start": "Saludar",
    },
    "pt": {
        "ask": "Fazer uma pergunta",
        "help": "O que posso fazer",
        "privacy": "O que acontece com suas mensagens",
        "start": "Dizer olá",
    },
    "it": {
        "ask": "Fare una domanda",
        "help": "Che cosa so fare",
        "privacy": "Che cosa succede ai tuoi messaggi",
        "start": "Salutare",
    },
    "ar": {
        "ask": "طرح سؤال",
        "help": "ما الذي يمكنني فعله",
        "privacy": "ماذا يحدث لرسائلك",
        "start": "إلقاء التحية",
    },
    "ja": {
        "ask": "質問する",
        "help": "できること",
        "privacy": "メッセージの取り扱い",
        "start": "あいさつする",
    },
}
"""By language code; the empty one is everybody else's."""
FIRST_WAIT = 20.0
"""Seconds over which the bots of a starting process spread this work, on average half of it."""
BETWEEN = 1.0


class Menu:
    """One bot's."""

    def __init__(self, client: Client, host: Host, jitter: Callable[[], float] = random.random) -> None:
        self._client, self._host, self._jitter = client, host, jitter

    async def keep(self, bot_id: int) -> None:
        """Set every menu that this bot has not got yet. Raises TelegramError; what was set is not set again."""
        wanted = mark(bot_id)
        if await self._host.recall("commands") == wanted:
            return
        await self._host.clock.sleep(FIRST_WAIT * self._jitter())
        for scope, names in SCOPES.items():
            for language, words in WORDS.items():
                await self._client.call(
                    "setMyCommands",
                    commands=[{"command": name, "description": words[name]} for name in names],
                    scope={"type": scope},
                    language_code=language,
                )
                await self._host.clock.sleep(BETWEEN)
        await self._host.remember("commands", wanted)


def mark(bot_id: int) -> bytes:
    """Stands for the menus as they are written here."""
    return hashlib.sha256(json.dumps([bot_id, SCOPES, WORDS]).encode()).digest()
