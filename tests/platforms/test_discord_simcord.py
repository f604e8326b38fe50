"""A second opinion: what somebody else's model of Discord says and takes, without a socket.

The sandbox speaks on the wire and was written by whoever wrote the adapter; simcord was not. Its payloads are converted
here, and what the adapter asks of the library is answered by its REST API with permissions.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import discord
import pytest
import simcord
from discord.http import Route

from adapters.discord.adapter import _intents
from adapters.discord.breaker import Breaker, Muted
from adapters.discord.commands import COMMANDS, register
from adapters.discord.convert import Me, convert
from adapters.discord.directory import Directory
from adapters.discord.drafts import Drafts
from adapters.discord.gate import Gate
from adapters.discord.health import Health
from adapters.discord.interactions import used
from adapters.discord.outgoing import Outgoing
from gateway.errors import Permanent
from gateway.messages import Said
from gateway.settings.models import DiscordSettings
from tests.platforms.discord_scene import delivery
from tests.platforms.fake_host import FakeHost


class Opinion:
    """One bot of ours in simcord's world: what its gateway brought, and the way out."""

    def __init__(self, env: Any, client: discord.Client) -> None:
        self.env, self.client = env, client
        self.host = FakeHost("support", "discord")
        self.gate = Gate(self.host.clock, Breaker(), Health(self.host))
        drafts = Drafts(self.host, on=True)
        self.outgoing = Outgoing(client, self.host.clock, self.gate, None, None, Muted(), drafts)  # type: ignore[arg-type]
        self.directory = Directory(client, self.host.clock, self.gate)
        self.me = Me(bot="support", id=str(client.user.id), threads=True)
        self.brought: list[tuple[str, dict[str, Any]]] = []
        parsers = client._connection.parsers
        for event in ("MESSAGE_CREATE", "INTERACTION_CREATE"):
            parsers[event] = self._listening(event, parsers[event])

    def _listening(self, event: str, parser: Any) -> Any:
        def heard(data: Any) -> None:
            self.brought.append((event, copy.deepcopy(data)))
            parser(data)

        return heard

    def place(self, **overwrites: Any) -> tuple[Any, Any]:
        """A channel, and somebody in it; `overwrites` are the bot's own permissions there."""
        guild = self.env.create_guild()
        own = {self.client.user: discord.PermissionOverwrite(**overwrites)} if overwrites else None
        channel = guild.create_text_channel("general", overwrites=own)
        return channel, guild.add_member(self.env.create_user("ada"))

    async def said(self) -> Said:
        """The last message that it brought, as the gateway is told of it."""
        data = [data for event, data in self.brought if event == "MESSAGE_CREATE"][-1]
        where = await self.directory.around(data, self.me) if "guild_id" in data else None
        [said] = convert("MESSAGE_CREATE", data, self.me, where)
        assert isinstance(said, Said), said
        return said

    def asked(self) -> Said:
        data = [data for event, data in self.brought if event == "INTERACTION_CREATE"][-1]
        said = used(data, self.me)
        assert said is not None
        return said


@pytest.fixture(autouse=True)
def _the_real_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Route, "BASE", "https://discord.com/api/v10")


@asynccontextmanager
async def asked_for() -> AsyncIterator[Opinion]:
    """Not a fixture: its clock is bound to the context that it is opened in."""
    intents = _intents(DiscordSettings(token="t"))
    intents.guilds = True  # simcord keeps no server for a bot that does not ask for them
    client = discord.Client(intents=intents, allowed_mentions=discord.AllowedMentions.none())
    async with simcord.run(client, strict_sync=False) as env:
        yield Opinion(env, client)


async def test_a_mention_is_a_question_and_its_answer_a_reply():
    async with asked_for() as opinion:
        channel, ada = opinion.place()
        await ada.send(channel, f"{opinion.client.user.mention} what are your hours?")
        said = await opinion.said()
        opinion.me = Me(bot="support", id=opinion.me.id)
        await opinion.outgoing.send(delivery(await opinion.said(), "Nine to five, @everyone."))

        assert (said.addressed, said.text, said.sender.id) == ("mention", "what are your hours?", str(ada.id))
        assert (said.place.channel, said.context["channel_name"]) == (str(channel.id), "general")
        answer = channel.last_message
        assert (answer.content, answer.mention_everyone) == ("Nine to five, @everyone.", False)
        assert str(answer.reference.message_id) == said.message_id


async def test_a_thread_is_opened_from_the_question_and_belongs_to_the_bot():
    async with asked_for() as opinion:
        channel, ada = opinion.place()
        await ada.send(channel, f"{opinion.client.user.mention} where is my order?")
        question = await opinion.said()
        await opinion.outgoing.send(delivery(question, "On its way."))
        [thread] = channel.threads
        await ada.send(thread, f"{opinion.client.user.mention} and the other one?")
        follow_up = await opinion.said()

        assert (str(thread.id), thread.name) == (question.message_id, "where is my order?")
        assert thread.history()[-2].content == "On its way."
        assert (follow_up.key, follow_up.place.channel) == (question.key, str(channel.id))


async def test_a_direct_message_comes_with_its_words_without_the_privileged_intent():
    async with asked_for() as opinion:
        await opinion.env.create_user("bob").send_dm("are you there?")
        said = await opinion.said()

        assert (said.addressed, said.text, said.place.direct) == ("direct", "are you there?", True)


async def test_without_permission_the_answer_is_refused_for_the_lane():
    async with asked_for() as opinion:
        channel, ada = opinion.place(send_messages=False, create_public_threads=False)
        await ada.send(channel, f"{opinion.client.user.mention} hello?")
        said = await opinion.said()
        with pytest.raises(Permanent) as refused:
            await opinion.outgoing.send(delivery(said))

        assert (refused.value.scope, refused.value.context["code"]) == ("lane", 50013)


async def test_the_commands_are_taken_and_their_use_is_understood():
    async with asked_for() as opinion:
        channel, ada = opinion.place()
        await register(opinion.client, opinion.host, opinion.gate, wanted=True)
        available = ada.available_commands(channel)
        with suppress(Exception):  # nobody answers the interaction here: simcord minds
            await ada.slash(channel, "ask", question="why?")
        said = opinion.asked()

        everybodys = [command for command in COMMANDS if "default_member_permissions" not in command]
        assert {command["name"] for command in everybodys if command["type"] == 1} == set(available)
        assert (said.text, said.sender.id, said.addressed) == ("why?", str(ada.id), "command")
        assert (said.place.channel, said.address.data["foreign"]) == (str(channel.id), False)


async def test_the_menu_of_a_message_carries_its_words():
    async with asked_for() as opinion:
        channel, ada = opinion.place()
        await register(opinion.client, opinion.host, opinion.gate, wanted=True)
        message = await ada.send(channel, "What is a quasar?")
        with suppress(Exception):
            await ada.context_menu(channel, "Ask", target=message)

        assert opinion.asked().text == "What is a quasar?"
