"""Who may talk: origins, sessions, verified users."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncIterator

import jwt
import pytest
from pydantic import SecretStr

from adapters.web import origins, sessions
from adapters.web.stream import Pace
from gateway.settings.models import Rate, WebLimits
from tests.web.web_site import REPLICA, SHOP, Site, Visitor, running_site

SECRET = "a-secret-of-the-shop-" + "that-is-long-enough-" * 3


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


async def problem(response, status: int) -> dict[str, object]:
    body = await response.json()

    assert (status, "application/problem+json") == (response.status, response.content_type)
    assert {"type", "title", "status", "detail", "reference"} == body.keys()
    return body


# --- origins


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://shop.example.com.evil.example", "http://shop.example.com"],
)
async def test_another_page_is_refused_and_cannot_even_read_why(site: Site, origin: str) -> None:
    response = await Visitor(site, origin=origin).begin()

    await problem(response, 403)
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_every_route_of_the_prefix_is_behind_the_door(site: Site) -> None:
    for method, path in [
        ("POST", "sessions"),
        ("POST", "messages"),
        ("GET", "events"),
        ("GET", "history"),
        ("DELETE", "conversation"),
        ("OPTIONS", "messages"),
    ]:
        response = await site.client.request(
            method, f"/v1/web/support/{path}", headers={"Origin": "https://evil.example"}
        )

        await problem(response, 403)


async def test_a_request_from_nowhere_is_refused(site: Site) -> None:
    await problem(await Visitor(site, origin=None).begin(), 403)


async def test_two_origins_are_as_bad_as_none(site: Site) -> None:
    response = await site.client.post(
        "/v1/web/support/sessions", json={}, headers=[("Origin", SHOP), ("Origin", "https://evil.example")]
    )

    await problem(response, 403)


async def test_our_own_page_needs_no_origin(site: Site) -> None:
    visitor = Visitor(site, origin=None)
    visitor.headers["Sec-Fetch-Site"] = "same-origin"

    assert (await visitor.begin()).status == 201
    assert (await visitor.say("hello")).status == 202


async def test_our_own_page_is_the_same_with_and_without_its_origin(site: Site) -> None:
    """Browsers send it with POST and leave it out of GET."""
    visitor = Visitor(site, origin=None)
    visitor.headers |= {"Sec-Fetch-Site": "same-origin", "Origin": str(site.client.make_url("")).rstrip("/")}
    await visitor.begin()
    del visitor.headers["Origin"]

    assert (await visitor.history())["items"] == []


async def test_saying_same_origin_does_not_help_another_page(site: Site) -> None:
    visitor = Visitor(site, origin="https://evil.example")
    visitor.headers["Sec-Fetch-Site"] = "same-origin"

    await problem(await visitor.begin(), 403)


async def test_a_preflight_names_what_is_allowed(site: Site) -> None:
    response = await site.client.options("/v1/web/support/messages", headers={"Origin": SHOP})

    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]
    assert "Origin" in response.headers["Vary"]


async def test_an_allowed_page_may_read_refusals(site: Site) -> None:
    response = await site.client.get("/v1/web/support/history", headers={"Origin": SHOP})

    await problem(response, 401)
    assert response.headers["Access-Control-Allow-Origin"] == SHOP


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://Shop.example.com/", "https://shop.example.com:443"),
        ("http://[::1]:8080", "http://::1:8080"),
        ("https://a.example/path", None),
        ("https://user@a.example", None),
        ("https://a.example:port", None),
        ("file://", None),
        ("null", None),
        ("", None),
    ],
)
def test_an_origin_has_one_spelling(written: str, meant: str | None) -> None:
    assert meant == origins.normal(written)


# --- sessions


async def test_a_bot_goes_by_its_name_or_its_replica(site: Site) -> None:
    by_replica = Visitor(site, bot=REPLICA)
    response = await by_replica.begin()
    body = await response.json()

    assert response.status == 201
    assert {"token", "conversation", "expires_at", "bot"} == body.keys()
    assert body["bot"]["title"] == "Support"
    assert ["Opening hours?"] == body["bot"]["suggestions"]
    by_replica.bot = "support"
    assert (await by_replica.say("the same session")).status == 202


async def test_an_unknown_bot_is_not_found(site: Site) -> None:
    for path in ("/v1/web/nobody/history", "/chat/nobody", "/nobody/embed-script.js", "/v1/web/%00/history"):
        await problem(await site.client.get(path, headers={"Origin": SHOP}), 404)


async def test_an_address_that_is_none_is_not_found_whatever_is_done_there(site: Site) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        path = "/v1/web/support/nothing"
        assert (await site.client.request(method, path, headers={"Origin": SHOP})).status == 404


async def test_two_visitors_never_share_a_conversation(site: Site) -> None:
    one, other = Visitor(site), Visitor(site)
    await one.begin()
    await other.begin()
    await one.say("mine")

    assert one.conversation != other.conversation
    assert (await other.history())["items"] == []


@pytest.mark.parametrize("spoil", ["flip", "cut", "none", "basic", "unsigned", "non-ascii"])
async def test_a_forged_token_is_refused_in_the_same_words(site: Site, spoil: str) -> None:
    visitor = Visitor(site)
    await visitor.begin()
    token = visitor.headers["Authorization"].removeprefix("Bearer ")
    visitor.headers["Authorization"] = {
        "flip": f"Bearer {token[:20]}{'A' if token[20] != 'A' else 'B'}{token[21:]}",
        "cut": f"Bearer {token[:-4]}",
        "none": "",
        "basic": f"Basic {token}",
        "unsigned": f"Bearer {token.rpartition('.')[0]}.",
        "non-ascii": "Bearer v1.é.é",
    }[spoil]

    body = await problem(await visitor.say("hello"), 401)

    assert body["detail"] == "This needs a valid session."
    assert site.bots["support"][1].said == []


async def test_a_token_counts_only_for_its_bot_and_its_page(site: Site) -> None:
    site.add("sales")
    site.add("news", allowed_origins=(SHOP, "https://blog.example.com"))
    visitor = Visitor(site, bot="news")
    await visitor.begin()

    visitor.bot = "sales"
    await problem(await visitor.say("hello"), 401)
    visitor.bot = "news"
    visitor.headers["Origin"] = "https://blog.example.com"
    await problem(await visitor.say("hello"), 401)


async def test_a_session_ends_after_seven_days(site: Site) -> None:
    visitor = Visitor(site)
    await visitor.begin()

    await site.clock.advance(sessions.LIFETIME - 1)
    assert (await visitor.say("still here")).status == 202
    await site.clock.advance(1)
    await problem(await visitor.say("too late"), 401)


async def test_a_session_that_is_renewed_in_time_lives_on_with_its_conversation(site: Site) -> None:
    visitor = Visitor(site)
    await visitor.begin()
    first = visitor.conversation
    await site.clock.advance(sessions.LIFETIME - 1)

    response = await visitor.begin()

    assert (201, first) == (response.status, visitor.conversation)
    await site.clock.advance(sessions.LIFETIME - 1)
    assert (await visitor.say("still here")).status == 202


async def test_the_token_shows_no_secret_and_survives_a_restart_of_the_adapter(site: Site) -> None:
    visitor = Visitor(site)
    await visitor.begin()
    key = await site.journal.secret("web-session")

    assert key.hex() not in visitor.headers["Authorization"]
    site.bots["support"][0]._key = None
    assert (await visitor.say("hello")).status == 202


# --- verified users


def token(site: Site, secret: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    facts = {"sub": "alice", "exp": int(site.clock.now()) + 600, **claims}
    return jwt.encode({k: v for k, v in facts.items() if v is not None}, secret, algorithm=algorithm)


async def test_a_verified_user_is_the_same_visitor_everywhere(site: Site) -> None:
    host = site.add("club", identity_secret=SecretStr(SECRET))
    laptop, phone = Visitor(site, bot="club"), Visitor(site, bot="club")

    await laptop.begin({"identity": token(site)})
    digest = hmac.new(SECRET.encode(), b"alice", hashlib.sha256).hexdigest()
    await phone.begin({"user_id": "alice", "user_hash": digest})
    await laptop.say("one")
    await phone.say("two")

    assert laptop.conversation != phone.conversation
    assert [sessions.verified_visitor("club", "alice")] * 2 == [said.sender.id for said in host.said]


async def test_two_bots_have_two_users_of_the_same_name() -> None:
    assert sessions.verified_visitor("a", "alice") != sessions.verified_visitor("b", "alice")


@pytest.mark.parametrize(
    "claim",
    [
        lambda site: {"identity": token(site, secret="another-secret-that-is-long-enough!!")},
        lambda site: {"identity": token(site, exp=int(site.clock.now()))},
        lambda site: {"identity": token(site, exp=int(site.clock.now()) + 2 * 3600)},
        lambda site: {"identity": token(site, exp=None)},
        lambda site: {"identity": token(site, sub="")},
        lambda site: {"identity": token(site, nbf=int(site.clock.now()) + 300)},
        lambda site: {"identity": jwt.encode({"sub": "alice", "exp": 2**40}, None, algorithm="none")},
        lambda site: {"identity": token(site, algorithm="HS512")},
        lambda site: {"identity": "é"},
        lambda _: {"user_id": "alice", "user_hash": "00"},
        lambda _: {"user_id": "alice"},
        lambda _: {"user_hash": hmac.new(SECRET.encode(), b"", hashlib.sha256).hexdigest()},
    ],
)
async def test_nobody_becomes_another_user(site: Site, claim) -> None:
    site.add("club", identity_secret=SecretStr(SECRET))

    await problem(await Visitor(site, bot="club").begin(claim(site)), 401)


async def test_without_a_secret_no_identity_is_believed(site: Site) -> None:
    await problem(await Visitor(site).begin({"identity": token(site)}), 401)


async def test_logging_in_leaves_the_anonymous_conversation(site: Site) -> None:
    site.add("club", identity_secret=SecretStr(SECRET))
    visitor = Visitor(site, bot="club")
    await visitor.begin()
    anonymous = visitor.conversation

    await visitor.begin({"identity": token(site)})
    known = visitor.conversation
    await visitor.begin({"identity": token(site)})

    assert anonymous != known
    assert known == visitor.conversation


# --- limits


async def test_an_address_block_may_begin_so_many_sessions(site: Site) -> None:
    site.add("small", limits=WebLimits(sessions_per_address=Rate(count=2, seconds=60)))
    for _ in range(2):
        assert (await Visitor(site, bot="small").begin()).status == 201

    response = await Visitor(site, bot="small").begin()

    await problem(response, 429)
    assert response.headers["Retry-After"] == "60"
    assert (await Visitor(site).begin()).status == 201
    await site.clock.advance(60)
    assert (await Visitor(site, bot="small").begin()).status == 201


async def test_a_forwarded_address_counts_only_from_a_trusted_proxy() -> None:
    one = WebLimits(sessions_per_address=Rate(count=1, seconds=60))
    async with running_site() as untrusting:
        untrusting.add("small", limits=one)
        await Visitor(untrusting, bot="small").begin(**{"X-Forwarded-For": "203.0.113.1"})
        assert (
            await Visitor(untrusting, bot="small").begin(**{"X-Forwarded-For": "198.51.100.1"})
        ).status == 429
    async with running_site(Pace(), trusted_proxies=["127.0.0.0/8"]) as trusting:
        trusting.add("small", limits=one)
        await Visitor(trusting, bot="small").begin(**{"X-Forwarded-For": "203.0.113.1"})
        assert (
            await Visitor(trusting, bot="small").begin(**{"X-Forwarded-For": "198.51.100.1"})
        ).status == 201
        assert (
            await Visitor(trusting, bot="small").begin(**{"X-Forwarded-For": "6.6.6.6, 203.0.113.9"})
        ).status == 429


# --- what no browser sends


async def raw(site: Site, request: bytes) -> bytes:
    """Speak to the server without a client that would know better; returns the status line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.client.port)
    writer.write(request)
    async with asyncio.timeout(5):
        status = await reader.readline()
    writer.close()
    return status


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 2\r\nContent-Length: 40\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: +2\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Content-Length : 2\r\n",
        b"Origin: https://shop.example.com\r\n folded: yes\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nX\x00Y: 1\r\n",
    ],
)
async def test_a_request_of_two_meanings_is_none(site: Site, headers: bytes) -> None:
    visitor = Visitor(site)
    await visitor.begin()
    start = b"POST /v1/web/support/messages HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example.com\r\n"
    bearer = f"Authorization: {visitor.headers['Authorization']}\r\nIdempotency-Key: k\r\n".encode()
    status = await raw(site, start + bearer + headers + b"\r\n{}GET /v1/web/support/history HTTP/1.1\r\n\r\n")

    assert status.split(b" ")[1] in (b"400", b"403")
    assert site.bots["support"][1].said == []


@pytest.mark.parametrize(
    "name", ["Authorization", "Origin", "Last-Event-ID", "Accept-Language", "X-Forwarded-For"]
)
@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xc3\x28", b"Bearer \xf0\x9f", b"=" * 7000, b",;,;" * 500])
async def test_bytes_that_are_no_text_are_refused_or_passed_over(site: Site, name: str, value: bytes) -> None:
    visitor = Visitor(site)
    await visitor.begin()
    given = {key: text.encode() for key, text in visitor.headers.items()} | {name: value}
    lines = b"".join(key.encode() + b": " + text + b"\r\n" for key, text in given.items())
    status = await raw(site, b"GET /v1/web/support/history HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")

    assert status.split(b" ")[1] in (b"200", b"400", b"401", b"403")


async def test_ten_thousand_sessions_from_one_address_are_refused_cheaply(site: Site) -> None:
    site.add("small", limits=WebLimits(sessions_per_address=Rate(count=3, seconds=60)))
    statuses: Counter[int] = Counter()

    async def insist(times: int) -> None:
        for _ in range(times):
            response = await Visitor(site, bot="small").begin()
            statuses[response.status] += 1
            response.release()

    await asyncio.gather(*(insist(200) for _ in range(50)))

    assert {201: 3, 429: 9997} == statuses
    assert sum(len(times) for times in site.platform.limits._times.values()) == 3
    assert site.bots["small"][1].said == []
