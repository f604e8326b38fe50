"""The least that a Telegram bot can do: poll, ask, send. No order, no retry, no limits.

`python bench/floor.py [--journal FILE] URL TOKENS SECRET REPLICA`, the tokens separated by commas: what the gateway
adds is read against this, on the same loop and the same HTTP client. With `--journal` each step is written down as the
gateway writes it, by the simplest loop there is: accepted before it is confirmed, asked before it is asked, sending
before it is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from pathlib import Path
from typing import Any, Protocol

from aiohttp import ClientSession, TCPConnector

from gateway.app import SystemClock
from gateway.journal import open_journal
from gateway.messages import (
    Address,
    Channel,
    ConversationKey,
    Delivery,
    Ending,
    Part,
    Receipt,
    Said,
    Sender,
    Spend,
)
from gateway.ports import Bounds, Intake, Journal, Lease
from gateway.process import run_loop

Json = dict[str, Any]


class Notes(Protocol):
    """What is written down on the way of one bot's messages."""

    async def accepted(self, updates: list[Json]) -> list[str]: ...

    async def asked(self, message: str) -> str: ...

    async def answered(self, turn: str, text: str) -> Any: ...

    async def sent(self, what: Any) -> None: ...


class Nothing:
    async def accepted(self, updates: list[Json]) -> list[str]:
        return [""] * len(updates)

    async def asked(self, _: str) -> str:
        return ""

    async def answered(self, *_: str) -> None: ...

    async def sent(self, _: None) -> None: ...


class Journaled:
    """One bot's, in the project's own journal."""

    def __init__(self, journal: Journal, bot: str, turns: Lease, channel: Lease) -> None:
        self.journal, self.turns, self.lease = journal, turns, channel
        self.channel = Channel(bot=bot, platform="telegram")
        self.numbers = itertools.count()
        self.due: dict[str, asyncio.Future[Delivery]] = {}

    async def accepted(self, updates: list[Json]) -> list[str]:
        intakes = [self._intake(update) for update in updates]
        return [accepted.id for accepted in await self.journal.accept(intakes)] if intakes else []

    def _intake(self, update: Json) -> Intake:
        message = update["message"]
        chat = str(message["chat"]["id"])
        said = Said(
            key=ConversationKey(bot=self.channel.bot, platform="telegram", chat=chat),
            address=Address(to=chat),
            sender=Sender(id=str(message["from"]["id"])),
            message_id=str(message["message_id"]),
            text=message["text"],
            sent_at=float(message["date"]),
            dedupe=(f"update:{update['update_id']}",),
        )
        id_ = f"{self.channel.bot}-m{next(self.numbers)}"
        return Intake(id=id_, organization="bench", arrival=said, bounds=Bounds(user_limit=None))

    async def asked(self, message: str) -> str:
        spend = Spend(id=f"{message}-s", organization="bench", kind="reply", completion=True)
        turn = await self.journal.claim(f"{message}-t", [message], self.turns, spend)
        assert turn is not None
        return turn.id

    async def answered(self, turn: str, text: str) -> Delivery:
        ending = Ending(outcome="answered", parts=(Part(text=text),))
        due = self.due[turn] = asyncio.get_running_loop().create_future()
        await self.journal.finish(turn, self.turns, ending)
        for delivery in await self.journal.claim_deliveries(self.channel, self.lease, 32):
            self.due[delivery.owner].set_result(delivery)
        return await due

    async def sent(self, what: Delivery) -> None:
        await self.journal.delivered(what, self.lease, Receipt(platform_ids=("1",)))


class BareBot:
    def __init__(
        self, session: ClientSession, url: str, token: str, secret: str, replica: str, notes: Notes
    ) -> None:
        self.session, self.url, self.bot, self.notes = session, url, f"{url}/bot{token}", notes
        self.path = f"{url}/v1/replicas/{replica}/chat/completions/telegram"
        self.headers = {"X-ORGANIZATION-SECRET": secret, "Content-Type": "application/json"}

    async def run(self) -> None:
        offset, running = 0, set()
        print("polling", flush=True)
        while True:
            asked = {"offset": offset, "timeout": 30, "allowed_updates": ["message"]}
            updates = (await self.post(f"{self.bot}/getUpdates", asked))["result"]
            for update, message in zip(updates, await self.notes.accepted(updates), strict=True):
                offset = update["update_id"] + 1
                task = asyncio.ensure_future(self.reply(update["message"], message))
                running.add(task)
                task.add_done_callback(running.discard)

    async def reply(self, message: Json, noted: str) -> None:
        user, chat = str(message["from"]["id"]), message["chat"]
        data = {"chat_type": chat["type"], "chat_id": chat["id"], "message_id": message["message_id"]}
        data |= {"user_id": message["from"]["id"], "chat_name": message["from"]["first_name"]}
        headers = {**self.headers, "X-USER-ID": user, "X-USER-ID-TYPE": "telegram"}
        question = {"content": message["text"], "telegram_data": data}
        turn = await self.notes.asked(noted)
        answer = await self.post(self.path, question, headers)
        if not answer.get("success"):
            accounts = [{"accountID": user, "accountType": "telegram"}]
            await self.post(f"{self.url}/v1/users", {"linkedAccounts": accounts}, self.headers)
            answer = await self.post(self.path, question, headers)
        what = await self.notes.answered(turn, answer["content"])
        await self.post(f"{self.bot}/sendMessage", {"chat_id": chat["id"], "text": answer["content"]})
        await self.notes.sent(what)

    async def post(self, url: str, body: Any, headers: dict[str, str] | None = None) -> Json:
        async with self.session.post(url, json=body, headers=headers) as response:
            answer: Json = await response.json()
            return answer


async def noting(file: Path | None, count: int) -> list[Notes]:
    if file is None:
        return [Nothing()] * count
    journal = open_journal(f"sqlite:///{file}", SystemClock())
    await journal.open()
    turns = await journal.hold("dispatcher/bench").__aenter__()
    channels = [await journal.hold(f"channel/b{n}/telegram").__aenter__() for n in range(count)]
    return [Journaled(journal, f"b{n}", turns, lease) for n, lease in enumerate(channels)]


async def serve(url: str, tokens: list[str], secret: str, replica: str, journal: Path | None) -> None:
    all_notes = await noting(journal, len(tokens))
    async with ClientSession(connector=TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for token, notes in zip(tokens, all_notes, strict=True):
            group.create_task(BareBot(session, url, token, secret, replica, notes).run())


def main() -> None:
    parser = argparse.ArgumentParser(description="The least that a Telegram bot can do.")
    parser.add_argument("--journal", type=Path)
    for name in ("url", "tokens", "secret", "replica"):
        parser.add_argument(name)
    given = parser.parse_args()
    tokens = given.tokens.split(",")
    run_loop(lambda: serve(given.url, tokens, given.secret, given.replica, given.journal))


if __name__ == "__main__":
    main()
