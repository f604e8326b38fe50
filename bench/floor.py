"""The least that a Telegram bot can do: poll, ask, send. No journal, no order, no retry, no limits.

`python bench/floor.py SANDBOX_URL TOKEN SECRET REPLICA`: what the gateway adds is read against this, on the same loop
and the same HTTP client.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiohttp import ClientSession, TCPConnector

from gateway.process import run_loop


class BareBot:
    def __init__(self, session: ClientSession, url: str, token: str, secret: str, replica: str) -> None:
        self.session, self.url, self.bot = session, url, f"{url}/bot{token}"
        self.path = f"{url}/v1/replicas/{replica}/chat/completions/telegram"
        self.headers = {"X-ORGANIZATION-SECRET": secret, "Content-Type": "application/json"}

    async def run(self) -> None:
        offset, running = 0, set()
        print("polling", flush=True)
        while True:
            asked = {"offset": offset, "timeout": 30, "allowed_updates": ["message"]}
            for update in (await self.post(f"{self.bot}/getUpdates", asked))["result"]:
                offset = update["update_id"] + 1
                task = asyncio.ensure_future(self.reply(update["message"]))
                running.add(task)
                task.add_done_callback(running.discard)

    async def reply(self, message: dict[str, Any]) -> None:
        user, chat = str(message["from"]["id"]), message["chat"]
        data = {"chat_type": chat["type"], "chat_id": chat["id"], "message_id": message["message_id"]}
        data |= {"user_id": message["from"]["id"], "chat_name": message["from"]["first_name"]}
        headers = {**self.headers, "X-USER-ID": user, "X-USER-ID-TYPE": "telegram"}
        question = {"content": message["text"], "telegram_data": data}
        answer = await self.post(self.path, question, headers)
        if not answer.get("success"):
            accounts = [{"accountID": user, "accountType": "telegram"}]
            await self.post(f"{self.url}/v1/users", {"linkedAccounts": accounts}, self.headers)
            answer = await self.post(self.path, question, headers)
        await self.post(f"{self.bot}/sendMessage", {"chat_id": chat["id"], "text": answer["content"]})

    async def post(self, url: str, body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
        async with self.session.post(url, json=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            return answer


async def main() -> None:
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        await BareBot(session, *sys.argv[1:5]).run()


if __name__ == "__main__":
    run_loop(main)
