"""Signatures, without I/O, against the public library."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from standardwebhooks.webhooks import Webhook

from adapters.webhook import signing
from tests.web.webhook_host import NOW, OTHER_SECRET, SECRET

KEY = signing.key(SECRET)
BODY = b'{"text": "hi"}'


def headers(**changes: str | None) -> CIMultiDictProxy[str]:
    stamp = str(int(NOW))
    signature = signing.sign(KEY, b"msg_1", stamp.encode(), BODY).decode()
    values = {"id": "msg_1", "timestamp": stamp, "signature": signature, **changes}
    present = CIMultiDict({f"webhook-{name}": value for name, value in values.items() if value is not None})
    return CIMultiDictProxy(present)


def good(found: CIMultiDictProxy[str], *, now: float = NOW, body: bytes = BODY) -> bool:
    return signing.verified((KEY,), found, body, now)


@given(st.text(), st.from_regex(r"[!-~]{1,40}", fullmatch=True), st.binary(min_size=24, max_size=64))
def test_what_we_sign_is_what_the_public_library_signs(body: str, message_id: str, key: bytes):
    at = datetime.fromtimestamp(int(NOW), UTC)

    ours = signing.sign(key, message_id.encode(), str(int(NOW)).encode(), body.encode(errors="replace"))

    assert Webhook(key).sign(message_id, at, body.encode(errors="replace").decode()) == ours.decode()


def test_what_we_sign_the_public_library_verifies():
    stamp = str(int(datetime.now(UTC).timestamp()))
    signature = signing.sign(KEY, b"msg_1", stamp.encode(), BODY).decode()

    verified = Webhook(SECRET).verify(
        BODY, {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}
    )

    assert verified == {"text": "hi"}


def test_a_signed_body_is_good():
    assert good(headers())


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_each_header_is_needed(name: str):
    assert not good(headers(**{name: None}))


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_a_header_that_comes_twice_is_refused(name: str):
    twice = CIMultiDict(headers())
    twice.add(f"webhook-{name}", twice[f"webhook-{name}"])

    assert not good(CIMultiDictProxy(twice))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "msg_2"},
        {"timestamp": str(int(NOW) + 1)},
        {"timestamp": "now"},
        {"timestamp": "٣"},
        {"signature": "v1,"},
        {"signature": ""},
        {"signature": "v1,é"},
        {"signature": "v2," + signing.sign(KEY, b"msg_1", b"1750000000", BODY).decode()[3:]},
    ],
)
def test_whatever_differs_from_what_was_signed_is_refused(changes: dict[str, str]):
    assert not good(headers(**changes))


def test_another_body_is_refused():
    assert not good(headers(), body=BODY + b" ")


@pytest.mark.parametrize(("skew", "expected"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_a_timestamp_is_good_for_five_minutes_both_ways(skew: int, expected: bool):
    assert expected is good(headers(), now=NOW + skew)


def test_one_good_signature_among_others_is_enough():
    stamp = str(int(NOW)).encode()
    old = signing.sign(signing.key(OTHER_SECRET), b"msg_1", stamp, BODY).decode()
    new = signing.sign(KEY, b"msg_1", stamp, BODY).decode()

    assert good(headers(signature=f"v1a,abc {old} {new}"))


def test_an_endless_list_of_signatures_is_not_read_to_its_end():
    new = signing.sign(KEY, b"msg_1", str(int(NOW)).encode(), BODY).decode()

    assert not good(headers(signature="v1,x " * signing.MAX_CANDIDATES + new))


def test_each_of_several_keys_is_good_while_they_are_rotated():
    both = (signing.key(OTHER_SECRET), KEY)

    assert signing.verified(both, headers(), BODY, NOW)


def test_without_a_key_nothing_is_good():
    assert not signing.verified((), headers(), BODY, NOW)
