"""The script of an afternoon: python-telegram-bot's `Application` for each bot, one httpx client for Sensay.

`python bench/afternoon.py URL TOKENS SECRET REPLICA`: what somebody writes who reads the libraries' first pages.
"""

from __future__ import annotations

import asyncio
import sys

import httpx
from telegram import Update
from telegram.ext import Application, ApplicationBuilder, ContextTypes, MessageHandler, filters


async def started(url: str, token: str, sensay: httpx.AsyncClient, path: str) -> Application:  # type: ignore[type-arg]
    async def reply(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        message = update.message
        assert message is not None
        assert message.from_user is not None
        user = {"X-USER-ID": str(message.from_user.id), "X-USER-ID-TYPE": "telegram"}
        data = {"chat_type": message.chat.type, "chat_id": message.chat.id, "message_id": message.message_id}
        answer = await sensay.post(path, json={"content": message.text, "telegram_data": data}, headers=user)
        await message.reply_text(answer.json()["content"])

    builder = ApplicationBuilder().token(token).base_url(f"{url}/bot").concurrent_updates(True)  # noqa: FBT003
    application = builder.build()
    application.add_handler(MessageHandler(filters.TEXT, reply))
    await application.initialize()
    await application.start()
    assert application.updater is not None
    await application.updater.start_polling()
    return application


async def main() -> None:
    url, tokens, secret, replica = sys.argv[1:5]
    path = f"{url}/v1/replicas/{replica}/chat/completions/telegram"
    async with httpx.AsyncClient(headers={"X-ORGANIZATION-SECRET": secret}, timeout=95.0) as sensay:
        running = await asyncio.gather(*(started(url, token, sensay, path) for token in tokens.split(",")))
        await asyncio.Event().wait()
        del running


if __name__ == "__main__":
    asyncio.run(main())
