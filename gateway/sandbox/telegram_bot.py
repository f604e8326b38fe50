"""One pretended bot account: its updates, its chats and what it sent. No HTTP here."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from gateway.sandbox.telegram_limits import Flood
from gateway.sandbox.telegram_text import Refused, found_entities

Json = dict[str, Any]

POLL_CONFLICT = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
WEBHOOK_CONFLICT = (
    "Conflict: can't use getUpdates method while webhook is active; "
    "use deleteWebhook to delete the webhook first"
)
NOT_BY_DEFAULT = {"chat_member", "message_reaction", "message_reaction_count"}
SAMPLES: Json = {
    "photo": [
        {"file_id": "photo-1", "file_unique_id": "p1", "width": 90, "height": 60, "file_size": 1024},
        {"file_id": "photo-2", "file_unique_id": "p2", "width": 1280, "height": 853, "file_size": 102400},
    ],
    "voice": {"file_id": "voice-1", "file_unique_id": "v1", "duration": 3},
    "document": {"file_id": "document-1", "file_unique_id": "d1", "file_name": "a.pdf"},
    "sticker": {
        "file_id": "sticker-1",
        "file_unique_id": "s1",
        "type": "regular",
        "width": 512,
        "height": 512,
        "is_animated": False,
        "is_video": False,
    },
}
"""What `"photo": true` and the like stand for in a control request."""
CONTROL_KEYS = {
    "chat",
    "channel",
    "user",
    "text",
    "reply_to",
    "thread",
    "mention",
    "update",
    "edit",
    "business",
}


class BotAccount:
    """State of one token. Message and update ids come from outside, so that they never repeat."""

    def __init__(self, token: str, ids: Iterator[int]) -> None:
        self.token = token
        self.id = int(token.partition(":")[0])
        self.username = f"bot{self.id}_bot"
        self.name = f"Bot {self.id}"
        self.revoked = False
        self.updates: list[Json] = []
        self.allowed: list[str] | None = None
        self.chats: dict[int, Json] = {}
        self.threads: set[tuple[int, int]] = set()
        self.messages: dict[tuple[int, int], Json] = {}
        self.blocked: set[int] = set()
        self.migrated: dict[int, int] = {}
        self.sent: list[Json] = []
        self.commands: dict[str, list[Json]] = {}
        self.calls: Counter[str] = Counter()
        self.connections: dict[str, Json] = {}
        self.files: set[str] = set()
        self.file_suffix = "png"
        self.flood: Flood | None = None
        self.strict_polls = False
        self.withholds: Literal["all", "numbered"] | None = None
        """Polls bring nothing, whatever waits: any, or those with an offset."""
        self.answering = asyncio.Event()
        """While it is cleared, requests of this bot hang."""
        self.answering.set()
        self.hears_groups = True
        self._asked: tuple[int, float] = (0, float("-inf"))
        self.webhook: Json = {}
        self.arrived = asyncio.Event()
        self._ids = ids
        self._poll = 0
        self._forgotten = False

    def user(self) -> Json:
        return {"id": self.id, "is_bot": True, "first_name": self.name, "username": self.username}

    # --- updates ---------------------------------------------------------------------------------------------

    def push(self, update: Json) -> None:
        """Queue an update unless the bot did not ask for its kind (decided when it is made, as the server does)."""
        kind = next((key for key in update if key != "update_id"), "")
        wanted = kind not in NOT_BY_DEFAULT if not self.allowed else kind in self.allowed
        if wanted:
            self.updates.append({"update_id": next(self._ids), **update})
            self.interrupt()

    def interrupt(self) -> None:
        """Let waiting polls look again."""
        self.arrived.set()
        self.arrived = asyncio.Event()

    def forget(self) -> None:
        """End the polls that wait: this account is no more."""
        self._forgotten = True
        self.answering.set()
        self.interrupt()

    def confirm(self, offset: int) -> None:
        """Forget what lies before the offset; a negative one keeps only the last ones."""
        if offset < 0:
            self.updates = self.updates[offset:]
        elif offset > 0:
            self.updates = [update for update in self.updates if update["update_id"] >= offset]

    async def poll(self, offset: int, limit: int, timeout: float) -> list[Json]:
        """Long poll. An older poll that still waits ends in a conflict; with updates at hand both pollers get them."""
        if self.webhook:
            raise Refused(WEBHOOK_CONFLICT, 409)
        self._poll = mine = self._poll + 1
        self.interrupt()
        if self.strict_polls:
            limit = await self._patience(offset, limit, timeout)
        self.confirm(offset)
        deadline = time.monotonic() + timeout
        withheld = self.withholds == "all" or (self.withholds == "numbered" and offset > 0)
        while (withheld or not self.updates) and (left := deadline - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self.arrived.wait(), left)
            except TimeoutError:
                break
            if self._forgotten:
                return []
            if self.revoked:
                raise Refused("Unauthorized", 401)
            if self._poll != mine:
                raise Refused(POLL_CONFLICT, 409)
            if self.webhook:
                raise Refused(WEBHOOK_CONFLICT, 409)
        return [] if withheld else self.updates[:limit]

    async def _patience(self, offset: int, limit: int, timeout: float) -> int:
        """What the server does with those who ask for the same again at once: one update, or a pause of 3 s."""
        asked, at = self._asked
        since = time.monotonic() - at
        self._asked = (offset, time.monotonic())
        if asked == offset and since < 3.0 and timeout < 3.0:
            await asyncio.sleep(3.0)
        return 1 if asked == offset and since < 0.5 else limit

    # --- people ----------------------------------------------------------------------------------------------

    def hear(self, body: Json) -> int:
        """A person says (or edits) something: the control API's message becomes an update. Returns its message id."""
        if "update" in body:
            self.push(dict(body["update"]))
            return 0
        user = _user(body.get("user") or {})
        chat = self._chat(body, user)
        message: Json = {
            "message_id": int(body.get("edit") or next(self._ids)),
            "from": user,
            "chat": chat,
            "date": int(time.time()),
        }
        if body.get("thread"):
            message |= {"message_thread_id": int(body["thread"]), "is_topic_message": True}
            self.threads.add((chat["id"], int(body["thread"])))
        message |= self._replied(body, chat) | self._content(body)
        self.messages[chat["id"], message["message_id"]] = message
        kind = "business_message" if body.get("business") else "message"
        if body.get("business"):
            message["business_connection_id"] = str(body["business"])
        if body.get("edit"):
            self.push({f"edited_{kind}": {**message, "edit_date": int(time.time())}})
        else:
            self.push({kind: message})
        return int(message["message_id"])

    def connect(self, id_: str, user: int, enabled: bool, can_reply: bool) -> None:
        """Somebody lets the bot answer for their account, or changes what it may."""
        self.connections[id_] = {
            "id": id_,
            "user": {"id": user, "is_bot": False, "first_name": "Owner"},
            "user_chat_id": user,
            "date": int(time.time()),
            "is_enabled": enabled,
            "rights": {"can_reply": True} if can_reply else {},
        }
        self.push({"business_connection": self.connections[id_]})

    def _chat(self, body: Json, user: Json) -> Json:
        given = body.get("chat") or body.get("channel") or {"id": user["id"]}
        given = dict(given) if isinstance(given, dict) else {"id": given}
        chat_id = int(given.get("id") or user["id"])
        chat = {**self.chats.get(chat_id, _new_chat(chat_id, user)), **given, "id": chat_id}
        if body.get("thread") and chat["type"] != "private":
            chat |= {"type": "supergroup", "is_forum": True}
        self.chats[chat_id] = chat
        return chat

    def _replied(self, body: Json, chat: Json) -> Json:
        """A message in a topic that answers nothing still carries the topic's first message as the one replied to."""
        if body.get("reply_to"):
            number = int(body["reply_to"])
            known = self.messages.get((chat["id"], number))
            replied = known or {"message_id": number, "chat": chat, "date": 0}
            return {"reply_to_message": {k: v for k, v in replied.items() if k != "reply_to_message"}}
        if body.get("thread") and chat["type"] != "private":
            root = {
                "message_id": int(body["thread"]),
                "from": self.user(),
                "chat": chat,
                "date": 0,
                "forum_topic_created": {"name": "Topic", "icon_color": 7322096},
            }
            return {"reply_to_message": root}
        return {}

    def _content(self, body: Json) -> Json:
        text = body.get("text")
        if body.get("mention") and f"@{self.username}".lower() not in str(text or "").lower():
            text = f"@{self.username} {text or ''}".rstrip()
        content: Json = {} if text is None else {"text": text, "entities": found_entities(text)}
        for key, value in body.items():
            if key not in CONTROL_KEYS:
                content[key] = SAMPLES.get(key, value) if value is True else value
        if isinstance(caption := content.get("caption"), str):
            content["caption_entities"] = found_entities(caption)
        return {key: value for key, value in content.items() if not (key.endswith("entities") and not value)}

    # --- the bot ---------------------------------------------------------------------------------------------

    def known_chat(self, chat_id: Any) -> Json:
        """The chat that a bot wants to act in, or the server's refusal."""
        try:
            number = int(chat_id)
        except (TypeError, ValueError):
            raise Refused(
                "Bad Request: chat not found" if chat_id else "Bad Request: chat_id is empty"
            ) from None
        if number in self.migrated:
            raise Refused(
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=self.migrated[number],
            )
        if number not in self.chats:
            raise Refused("Bad Request: chat not found")
        if number in self.blocked:
            raise Refused("Forbidden: bot was blocked by the user", 403)
        return self.chats[number]

    def known_business(self, id_: Any) -> None:
        """Refuse to write for an account that is not connected, or does not allow it."""
        if not id_:
            return
        connection = self.connections.get(str(id_))
        if connection is None or not connection["is_enabled"]:
            raise Refused("Bad Request: BUSINESS_CONNECTION_INVALID")
        if not connection["rights"].get("can_reply"):
            raise Refused("Bad Request: not enough rights to write for the account")

    def known_thread(self, chat: Json, thread: Any) -> int | None:
        """The topic to post in. General (1) is written by omission; naming it is an error."""
        if thread in (None, "", 0, "0"):
            return None
        if (chat["id"], int(thread)) not in self.threads or int(thread) == 1:
            raise Refused("Bad Request: message thread not found")
        return int(thread)

    def known_reply(self, chat: Json, parameters: Json | None) -> int | None:
        if not parameters:
            return None
        number = int(parameters.get("message_id", 0))
        if (chat["id"], number) in self.messages:
            return number
        if parameters.get("allow_sending_without_reply") in (True, "true", "True"):
            return None
        raise Refused("Bad Request: message to be replied not found")

    def say(
        self,
        kind: str,
        chat: Json,
        thread: int | None,
        reply_to: int | None,
        content: Json,
        business: str | None = None,
    ) -> Json:
        """Store what the bot posted and note it under `sent`; returns the Message. What it says for somebody's
        account comes back as an update.
        """
        message: Json = {
            "message_id": next(self._ids),
            "from": self.user(),
            "chat": chat,
            "date": int(time.time()),
            **content,
        }
        if thread is not None:
            message |= {"message_thread_id": thread, "is_topic_message": True}
        if reply_to is not None:
            message["reply_to_message"] = self.messages[chat["id"], reply_to]
        self.messages[chat["id"], message["message_id"]] = message
        noted = {**content, "business": business} if business else content
        self.note(kind, chat, thread, id=message["message_id"], reply_to=reply_to, **noted)
        if business:
            message |= {"business_connection_id": business, "sender_business_bot": self.user()}
            message["from"] = self.connections[business]["user"]
            self.push({"business_message": message})
        return message

    def note(self, kind: str, chat: Json, thread: int | None, **fields: Any) -> None:
        item: Json = {
            "id": None,
            "at": time.time(),
            "kind": kind,
            "chat": chat["id"],
            "text": fields.get("caption"),
            "reply_to": None,
            "nonce": None,
        }
        self.sent.append(item | ({"thread": thread} if thread is not None else {}) | fields)


def _user(given: Json) -> Json:
    user: Json = {
        "id": int(given.get("id", 1)),
        "is_bot": bool(given.get("is_bot", False)),
        "first_name": str(given.get("name") or given.get("first_name") or "User"),
    }
    return user | {key: given[key] for key in ("username", "language_code", "last_name") if given.get(key)}


def _new_chat(chat_id: int, user: Json) -> Json:
    if chat_id > 0:
        return {"id": chat_id, "type": "private", "first_name": user["first_name"]}
    kind = "supergroup" if chat_id < -1_000_000_000_000 else "group"
    return {"id": chat_id, "type": kind, "title": f"Group {-chat_id}"}
