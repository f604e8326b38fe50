"""The public HTTP of the web platform.

Every `/v1/web` request passes one door, `_door`: which bot, whether this page may use it, and CORS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from adapters.http import Handler, Problem, answer, answering, read_json, timestamp
from adapters.web import convert, origins, page, proof, sessions
from adapters.web.assets import BRIEF, FOREVER, Files
from adapters.web.limits import Limits, Proxies, block
from adapters.web.picture import Pictures
from adapters.web.sessions import Claim, Session
from adapters.web.stream import Streams
from adapters.web.transcript import messages
from gateway.messages import Accepted
from gateway.ports import Fleet, Host
from gateway.settings.models import Rate, WebSettings

if TYPE_CHECKING:
    from adapters.web.adapter import WebAdapter

DAY = 86_400.0
HISTORY_LIMIT = 100
_RESOURCES = ("sessions", "messages", "events", "history", "conversation", "picture")
_NEWEST = 2**53
_UNSAID = {"theme": "auto", "position": "bottom-right"}
_STATUS = {"accepted": "queued", "busy": "busy", "limited": "busy", "denied": "denied", "ignored": "denied"}


@dataclass(frozen=True)
class Visit:
    """A request that may talk to this bot from where it comes."""

    request: web.Request
    adapter: WebAdapter
    host: Host
    origin: str
    cors: dict[str, str]

    @property
    def now(self) -> float:
        return self.host.clock.now()

    @property
    def locale(self) -> str | None:
        return convert.language(self.request.headers.get("Accept-Language"))

    def bearer(self) -> str | None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    async def session(self) -> Session:
        """The session that this request belongs to. Raises Problem 401."""
        key = await self.adapter.session_key(self.host)
        session = sessions.unseal(
            self.bearer() or "", key, bot=self.adapter.bot, origin=self.origin, now=self.now
        )
        if await self.host.recall(_forgotten(session)) is not None:
            raise sessions.refused()
        return session


@dataclass(frozen=True)
class WebRoutes:
    """Handlers for all bots; which bot is meant is looked up in the current fleet."""

    fleet: Fleet
    files: Files
    streams: Streams
    pictures: Pictures
    limits: Limits
    proxies: Proxies
    base_url: str | None

    def table(self) -> list[web.RouteDef]:
        api = "/v1/web/{bot}"
        preflight = self._door(_preflight)
        return [
            web.get("/widget.js", self._widget),
            web.get("/widget/{hash}.js", answering(self._pinned_widget)),
            web.get("/widget/{language}.json", answering(self._words)),
            web.get("/chat/{bot}", answering(self._chat)),
            web.get("/{bot}/embed-script.js", answering(self._embed)),
            web.post(f"{api}/sessions", self._door(self._begin)),
            web.post(f"{api}/messages", self._door(self._post)),
            web.get(f"{api}/events", self._door(self._events), allow_head=False),
            web.get(f"{api}/history", self._door(self._history), allow_head=False),
            web.delete(f"{api}/conversation", self._door(self._forget)),
            web.get(f"{api}/picture", self._door(self._picture), allow_head=False),
            *(web.options(f"{api}/{name}", preflight) for name in _RESOURCES),
        ]

    # --- files

    async def _widget(self, request: web.Request) -> web.StreamResponse:
        return self.files.widget.response(request, BRIEF)

    async def _pinned_widget(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["hash"] != self.files.widget.digest:
            raise Problem(404, "There is no such version of the widget.")
        return self.files.widget.response(request, FOREVER)

    async def _words(self, request: web.Request) -> web.StreamResponse:
        words = self.files.words.get(request.match_info["language"])
        if words is None:
            raise Problem(404, "The widget does not speak this language.")
        return words.response(request, BRIEF)

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        adapter, _ = self._find(request)
        return (await self.files.bound(_owner(adapter.section))).response(request, BRIEF)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        adapter, host = self._find(request)
        locale = convert.language(request.headers.get("Accept-Language"))
        card = await host.card(locale)
        return page.hosted_chat(
            bot=adapter.bot,
            title=card.title,
            theme=adapter.section.theme,
            language=self.files.language(locale),
        )

    # --- the door

    def _find(self, request: web.Request) -> tuple[WebAdapter, Host]:
        found = self.fleet.channel(request.match_info["bot"], "web")
        if found is None:
            raise Problem(404, "There is no such bot.")
        return found

    def _door(self, handler: Callable[[Visit], Awaitable[web.StreamResponse]]) -> Handler:
        """Let in who may come in; only they may read the answer, also when it is a refusal."""

        async def enter(request: web.Request) -> web.StreamResponse:
            adapter, host = self._find(request)
            origin = origins.judge(request, adapter.section.allowed_origins, self.base_url)
            if origin is None:
                raise Problem(
                    403, "This page may not use this bot.", headers={"Vary": "Origin, Sec-Fetch-Site"}
                )
            host.beat()
            visit = Visit(request, adapter, host, origin, origins.cors(request))

            async def inside(_: web.Request) -> web.StreamResponse:
                return await handler(visit)

            response = await answering(inside)(request)
            if not response.prepared:
                response.headers.update(visit.cors)
            return response

        return answering(enter)

    def _spend(self, visit: Visit, kind: str, whose: str, rate: Rate | None) -> None:
        wait = self.limits.take((kind, visit.adapter.bot, whose), rate, visit.now)
        if wait is not None:
            raise Problem(429, "Too many requests; try again later.", retry_after=wait)

    # --- sessions

    async def _begin(self, visit: Visit) -> web.StreamResponse:
        """A new session, or (with a valid one as Bearer) the same conversation for another seven days."""
        claim = await read_json(visit.request, Claim)
        secret = visit.adapter.section.identity_secret
        user = sessions.verified_user(claim, secret.get_secret_value() if secret else None, visit.now)
        key = await visit.adapter.session_key(visit.host)
        session = await self._resumed(visit, user) or self._new(visit, user, claim.proof, key)
        token = sessions.seal(session, key)
        return answer(
            {
                "token": token,
                "conversation": session.conversation,
                "expires_at": timestamp(session.expires_at),
                "bot": await self._card(visit),
            },
            201,
        )

    async def _resumed(self, visit: Visit, user: str | None) -> Session | None:
        if visit.bearer() is None:
            return None
        session = await visit.session()
        if user is not None and session.visitor != sessions.verified_visitor(session.bot, user):
            return None  # somebody else sits there now
        return sessions.renewed(session, visit.now)

    def _new(self, visit: Visit, user: str | None, proven: str | None, key: bytes) -> Session:
        client = self.proxies.client(
            visit.request.remote, visit.request.headers.getall("X-Forwarded-For", [])
        )
        rate = visit.adapter.section.limits.sessions_per_address
        if user is None:
            self._want_work(visit, block(client), proven, key)
        self._spend(visit, "sessions", block(client), rate)
        return sessions.begin(visit.adapter.bot, visit.origin, user, visit.now)

    def _want_work(self, visit: Visit, whose: str, proven: str | None, key: bytes) -> None:
        """Let whoever begins many sessions work for each. Raises Problem 428 with what to solve."""
        bot, section, now = visit.adapter.bot, visit.adapter.section, visit.now
        if section.proof_of_work == "off":
            return
        if proven is not None and proof.holds(proven, bot, key, now):
            once = Rate(count=1, seconds=proof.LIFETIME)
            if self.limits.take(("proof", proof.salt(proven)), once, now) is None:
                return
        elif section.proof_of_work == "auto":
            soft = proof.soft_limits(section.limits.sessions_per_address)
            takes = [
                self.limits.take(("easy", bot, who), rate, now)
                for who, rate in zip(("", whose), soft, strict=True)
            ]
            if takes == [None, None]:
                return
        raise Problem(428, "Prove some work first.", extra={"challenge": proof.challenge(bot, key, now)})

    async def _card(self, visit: Visit) -> dict[str, object]:
        """What the widget shows before anyone says anything."""
        card, section = await visit.host.card(visit.locale), visit.adapter.section
        path = f"{(self.base_url or '').rstrip('/')}/v1/web/{visit.adapter.bot}/picture"
        return {
            "title": card.title,
            "greeting": card.greeting,
            "suggestions": card.suggestions,
            "picture": path if self.pictures.may_fetch(card.picture) else None,
            "theme": section.theme,
            "position": section.position,
            "color": section.color,
            "storage": section.storage,
            "consent": section.consent,
        }

    async def _picture(self, visit: Visit) -> web.StreamResponse:
        """The bot's picture from wherever it is, so that nobody there hears of the visitor."""
        picture = await self.pictures.get(
            (await visit.host.card(visit.locale)).picture, visit.host.clock.monotonic()
        )
        if picture is None:  # no error: browsers would tell of it on the page's console
            return web.Response(status=204, headers={"Cache-Control": "max-age=60"})
        return picture.response(visit.request)

    # --- messages

    async def _post(self, visit: Visit) -> web.StreamResponse:
        session = await visit.session()
        key = convert.idempotency_key(visit.request.headers.get("Idempotency-Key"))
        body = await read_json(visit.request, convert.Post)
        said = convert.said(session, body, key, locale=visit.locale, now=visit.now)
        if await visit.host.find(convert.dedupe_key(session, key)) is None:  # a repeat costs nothing
            limits = visit.adapter.section.limits
            day = Rate(count=limits.messages_per_day, seconds=DAY) if limits.messages_per_day else None
            self._spend(visit, "messages", session.conversation, limits.messages_per_session)
            self._spend(visit, "day", "", day)
        (accepted,) = await visit.host.accept(said)
        if accepted.outcome == "mismatch":
            raise Problem(422, "This Idempotency-Key was used for another text.")
        return answer({"id": accepted.id, "status": await _status(visit.host, accepted)}, 202)

    async def _events(self, visit: Visit) -> web.StreamResponse:
        session = await visit.session()
        return await self.streams.serve(
            visit.request,
            visit.host,
            convert.conversation_key(session),
            visit.request.headers.get("Last-Event-ID"),
            visit.cors,
        )

    async def _history(self, visit: Visit) -> web.StreamResponse:
        session = await visit.session()
        before = _number(visit.request, "cursor", _NEWEST, _NEWEST)
        limit = _number(visit.request, "limit", HISTORY_LIMIT, HISTORY_LIMIT)
        log = await visit.host.log(convert.conversation_key(session), before=before, limit=limit)
        return answer(
            {
                "items": [message for _, message in messages(log.entries)],
                "cursor": str(log.entries[0].seq) if log.more and log.entries else None,
            }
        )

    async def _forget(self, visit: Visit) -> web.StreamResponse:
        """Forget the conversation; its session ends with it, also in other tabs."""
        session = await visit.session()
        key = convert.conversation_key(session)
        await visit.host.remember(_forgotten(session), b"1", ttl=sessions.LIFETIME)
        await visit.host.forget(key)
        await visit.host.publish(f"conversation/{key}", {"type": "reset"})
        return web.Response(status=204)


async def _preflight(_: Visit) -> web.StreamResponse:
    return web.Response(status=204, headers=origins.PREFLIGHT)


def _owner(section: WebSettings) -> dict[str, object]:
    """What the bound file knows before it has asked for anything; what goes without saying is left out."""
    return {
        name: value
        for name in ("title", "theme", "position", "color", "storage", "consent")
        if (value := getattr(section, name)) not in (None, False, _UNSAID.get(name))
    }


async def _status(host: Host, accepted: Accepted) -> str:
    """What the first answer said, also to a repeat."""
    if accepted.outcome != "duplicate":
        return _STATUS.get(accepted.outcome, "queued")
    life = await host.message(accepted.id)
    return _STATUS.get(life.status, "queued") if life is not None else "queued"


def _number(request: web.Request, name: str, default: int, top: int) -> int:
    """A positive number of the query. Raises Problem 422."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 16 and 1 <= int(text) <= top):
        raise Problem(422, f"{name} must be a number from 1 to {top}.")
    return int(text)


def _forgotten(session: Session) -> str:
    return f"forgotten/{session.conversation}"
