"""Every operation once: where it is, what it takes, what it gives, who may ask. Served, and described, from here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn, TypeAlias

from gateway.sandbox.sensay import bodies, queries, replies
from gateway.sandbox.sensay.calls import Call, Handler
from gateway.sandbox.sensay.completions import Completions
from gateway.sandbox.sensay.operations import (
    analytics,
    histories,
    hosting,
    keys,
    knowledge,
    replicas,
    talks,
    users,
)
from gateway.sandbox.sensay.wire import ErrorShape, Refusal

Auth = Literal["none", "organization", "user", "either"]
"""`organization`: user headers are not looked at; `user`: they are required; `either`: as one likes."""
Family = Literal["shared", "published", "guide"]
Replies: TypeAlias = Mapping[int, type[replies.Reply] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """`refuses`: statuses beyond those that every route may give."""

    body: type[bodies.Body] | None = None
    query: type[queries.Query] = queries.Query
    refuses: tuple[int, ...] = ()
    auth: Auth = "either"
    completion: bool = False
    family: Family = "shared"
    """Whose documents have it: the published ones, the guide's, or both."""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """`replies`: what a success looks like, by status."""

    operation: str
    method: str
    path: str
    handler: Handler
    summary: str
    replies: Replies
    extra: Extra = Extra()
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        made = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.path)))
        object.__setattr__(self, "pattern", made)

    @property
    def errors(self) -> ErrorShape | None:
        """None: the shape that the sandbox was told to use."""
        return "guide" if self.extra.family == "guide" else None


_USERS, _ME, _REPLICAS = "/v1/users", "/v1/users/me", "/v1/replicas"
_R = "/v1/replicas/{replica}"
_CHAT, _HISTORY = f"{_R}/chat/completions", f"{_R}/chat/history"
_KNOWLEDGE, _TRAINING = f"{_R}/knowledge-base", f"{_R}/training"
_ENTRY, _TRAINED = f"{_R}/knowledge-base/{{entry}}", f"{_R}/training/{{entry}}"
_TALKS, _TALK = f"{_R}/conversations", f"{_R}/conversations/{{conversation}}"
_CHATS, _ONE_CHAT = f"{_R}/chats", f"{_R}/chats/{{chat}}"
_CHAT_TALK = f"{_R}/chats/{{chat}}/conversations/{{conversation}}"
_CHANNELS: tuple[bodies.Source, ...] = ("discord", "embed", "telegram")
_PUBLISHED_CHANNELS: tuple[bodies.Source, ...] = (*_CHANNELS, "web")

_DONE: Replies = {200: replies.Done}
_DELETED: Replies = {200: replies.Done, 202: replies.Accepted}
_HOSTED: Replies = {200: replies.Integrated, 202: replies.IntegratedLater}
_USER: Replies = {200: replies.UserShown}
_SAID: Replies = {200: replies.History}
_COMPLETED: Replies = {200: replies.Completed}

_PUBLISHED, _GUIDE = Extra(family="published"), Extra(family="guide")
_OLD = Extra(deprecated=True)
_OLD_LIST = Extra(deprecated=True, query=queries.TalkQuery)
_OLD_CURSOR = Extra(deprecated=True, query=queries.Cursor)
_LIST = Extra(family="published", query=queries.TalkQuery)
_CURSOR = Extra(family="published", query=queries.Cursor)


def table(completions: Completions, invites: keys.Invites) -> list[Route]:
    """All routes; one with a fixed segment stands before one with a parameter in its place."""
    ask, ask_telegram = completions.plain(None), completions.plain("telegram")
    return [
        Route("ensure_user", "POST", _USERS, users.create, "Create a user", _USER,
              Extra(body=bodies.NewUser, refuses=(409,), auth="organization")),
        Route("get_me", "GET", _ME, users.get_me, "The user of the headers", _USER, Extra(auth="user")),
        Route("update_me", "PUT", _ME, users.update_me, "Change the user of the headers", _USER,
              Extra(body=bodies.ChangedUser, refuses=(409,), auth="user")),
        Route("delete_me", "DELETE", _ME, users.delete_me, "Delete the user of the headers, with all replicas",
              {204: None}, Extra(auth="user")),
        Route("usage", "GET", f"{_ME}/usage", users.usage, "What the user's replicas have used",
              {200: replies.Usage}, Extra(auth="user")),
        Route("get_user", "GET", f"{_USERS}/{{user}}", users.get, "A user by id", _USER,
              Extra(auth="organization")),

        Route("create_replica", "POST", _REPLICAS, replicas.create, "Create a replica",
              {201: replies.ReplicaMade}, Extra(body=bodies.NewReplica, refuses=(403, 409))),
        Route("replicas", "GET", _REPLICAS, replicas.list_all, "List replicas", {200: replies.ReplicaList},
              Extra(query=queries.ReplicaQuery)),
        Route("get_replica", "GET", _R, replicas.get, "One replica", {200: replies.ReplicaShown}),
        Route("update_replica", "PUT", _R, replicas.update, "Change a replica as a whole", _DONE,
              Extra(body=bodies.NewReplica, refuses=(409,), family="published")),
        Route("delete_replica", "DELETE", _R, replicas.delete, "Delete a replica", _DONE, _PUBLISHED),

        Route("complete", "POST", _CHAT, ask, "Ask a replica", _COMPLETED,
              Extra(body=bodies.Completion, completion=True)),
        Route("complete", "POST", f"{_CHAT}/telegram", ask_telegram, "Ask from Telegram", _COMPLETED,
              Extra(body=bodies.TelegramCompletion, completion=True, family="published")),
        Route("complete", "POST", f"{_R}/telegram/completions", ask_telegram,
              "Ask from Telegram, the guide's way", _COMPLETED,
              Extra(body=bodies.GuideTelegramCompletion, completion=True, family="guide")),
        Route("complete_openai", "POST", "/v1/experimental/replicas/{replica}/chat/completions",
              completions.like_openai, "Ask like OpenAI's API; only the last message counts",
              {200: replies.OpenAiCompleted},
              Extra(body=bodies.OpenAiCompletion, completion=True, auth="user", family="published")),

        Route("history", "GET", _HISTORY, histories.read(None), "All between user and replica", _SAID),
        *(Route("history", "GET", f"{_HISTORY}/{one}", histories.read(one),
                f"What came by {one}", _SAID, _PUBLISHED) for one in _PUBLISHED_CHANNELS),
        *(Route("history", "GET", f"{_R}/{one}/history", histories.read(one),
                f"What came by {one}, the guide's way", _SAID, _GUIDE) for one in _CHANNELS),
        Route("record", "POST", _HISTORY, histories.save(None), "Keep a message without an answer", _DONE,
              Extra(body=bodies.Saved, family="published")),
        Route("record", "POST", f"{_HISTORY}/telegram", histories.save("telegram"),
              "Keep a message from Telegram without an answer", _DONE,
              Extra(body=bodies.TelegramSaved, family="published")),

        Route("create_knowledge", "POST", _KNOWLEDGE, knowledge.create, "Add a text, a page, videos or a file",
              {207: replies.EntriesMade}, Extra(body=bodies.Knowledge, refuses=(409,))),
        Route("list_knowledge", "GET", _KNOWLEDGE, knowledge.list_all, "List entries",
              {200: replies.EntryList}, Extra(query=queries.EntryQuery, family="published")),
        Route("get_knowledge", "GET", _ENTRY, knowledge.get, "One entry, and how far it is",
              {200: replies.EntryShown}),
        Route("update_knowledge", "PATCH", _ENTRY, knowledge.update, "Change an entry", _DONE,
              Extra(body=bodies.ChangedKnowledge, family="published")),
        Route("delete_knowledge", "DELETE", _ENTRY, knowledge.delete, "Delete an entry", _DELETED, _PUBLISHED),

        Route("start_training", "POST", _TRAINING, knowledge.start_training, "Begin an entry",
              {200: replies.TrainingStarted}, Extra(body=bodies.Nothing, family="guide")),
        Route("start_upload", "GET", f"{_TRAINING}/files/upload", knowledge.start_upload,
              "Begin an entry with a file", {200: replies.UploadStarted},
              Extra(query=queries.Upload, family="guide")),
        Route("train", "PUT", _TRAINED, knowledge.train, "Give an entry its text", _DONE,
              Extra(body=bodies.Training, family="guide")),
        Route("get_training", "GET", _TRAINED, knowledge.get_training, "How far an entry is",
              {200: replies.TrainingShown}, _GUIDE),
        Route("delete_training", "DELETE", _TRAINED, knowledge.delete, "Delete an entry", _DELETED, _GUIDE),

        Route("integrate_telegram", "POST", f"{_R}/integrations/telegram", hosting.create_telegram,
              "Let Sensay run a Telegram bot", _HOSTED,
              Extra(body=bodies.TelegramIntegration, family="published")),
        Route("integrate_telegram", "POST", f"{_R}/telegram", hosting.create_telegram_as_in_guide,
              "Let Sensay run a Telegram bot, the guide's way", _HOSTED,
              Extra(body=bodies.GuideTelegramIntegration, family="guide")),
        Route("remove_telegram", "DELETE", f"{_R}/integrations/telegram", hosting.delete_telegram,
              "Stop the Telegram bot that Sensay runs", _DELETED, _PUBLISHED),
        Route("remove_telegram", "DELETE", f"{_R}/telegram", hosting.delete_telegram,
              "Stop the Telegram bot that Sensay runs, the guide's way", _DELETED, _GUIDE),
        Route("integrate_discord", "POST", f"{_R}/integrations/discord", hosting.create_discord,
              "Let Sensay run a Discord bot", _DONE,
              Extra(body=bodies.DiscordIntegration, family="published")),

        Route("conversations", "GET", _TALKS, talks.list_conversations, "List conversations",
              {200: replies.ConversationList}, _OLD_LIST),
        Route("get_conversation", "GET", _TALK, talks.get_conversation, "One conversation",
              {200: replies.ConversationShown}, _OLD),
        Route("messages", "GET", f"{_TALK}/messages", talks.list_messages,
              "Messages of a conversation, oldest first", {200: replies.Messages}, _OLD_CURSOR),
        Route("mentions", "GET", f"{_TALK}/mentions", talks.list_mentions,
              "Mentions of the replica, newest first, with placeholders for what lies between",
              {200: replies.Mentions}, _OLD_CURSOR),

        Route("chats", "GET", _CHATS, talks.list_chats, "List chats", {200: replies.ChatList}, _LIST),
        Route("get_chat", "GET", _ONE_CHAT, talks.get_chat, "One chat", {200: replies.ChatShown}, _PUBLISHED),
        Route("chat_messages", "GET", f"{_ONE_CHAT}/messages", talks.list_chat_messages,
              "Messages of a chat, oldest first", {200: replies.Messages}, _CURSOR),
        Route("chat_conversations", "GET", f"{_ONE_CHAT}/conversations", talks.list_chat_conversations,
              "Conversations of a chat", {200: replies.ConversationList}, _LIST),
        Route("get_chat_conversation", "GET", _CHAT_TALK, talks.get_conversation,
              "One conversation of a chat", {200: replies.ConversationShown}, _PUBLISHED),
        Route("chat_conversation_messages", "GET", f"{_CHAT_TALK}/messages", talks.list_messages,
              "Messages of a conversation of a chat, oldest first", {200: replies.Messages}, _CURSOR),

        Route("historical", "GET", f"{_R}/analytics/conversations/historical", analytics.historical,
              "Conversations so far, on each of the last 30 days", {200: replies.Growth}),
        Route("sources", "GET", f"{_R}/analytics/conversations/sources", analytics.sources,
              "Conversations by where they came from", {200: replies.Shares}),

        Route("redeem_key", "POST", "/v1/api-keys/invites/{code}/redeem", invites.redeem,
              "Trade an invitation for an organization and its key", {200: replies.KeyRedeemed},
              Extra(body=bodies.Redemption, auth="none", family="published")),
        Route("health", "GET", "/v1/healthcheck", keys.health, "How the service is", {200: replies.Health},
              Extra(auth="none", family="published")),
    ]  # fmt: skip


def unknown(routes: Iterable[Route]) -> Route:
    """What is asked where there is nothing: 404, or 405 when only the method is wrong."""

    async def refuse(call: Call) -> NoReturn:
        path = call.request.path
        allowed = sorted({route.method for route in routes if route.pattern.fullmatch(path)})
        if allowed:
            words = f"{call.request.method} is not allowed on {path}"
            raise Refusal(405, words, allow=", ".join(allowed))
        raise Refusal(404, f"Route {call.request.method} {path} not found")

    return Route("unknown", "*", "/v1/{anything}", refuse, "Nothing", {}, Extra(auth="organization"))
