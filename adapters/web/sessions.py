"""Who talks: signed session tokens, and users that a site vouches for.

A token is `v1.<payload>.<mac>`: bot, origin, conversation, visitor and expiry, signed, not encrypted. Nothing is
stored for a session. Ids of conversations and visitors are made here, never by a page; a verified user's is derived
from bot and user id alone, so that it is the same on every device and after a lost journal.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import warnings

import jwt
import msgspec
from jwt.warnings import InsecureKeyLengthWarning

from adapters.http import Problem

LIFETIME = 7 * 86_400.0
IDENTITY_LIFETIME = 3600.0
_SKEW = 60.0
# how good a site's secret is can be said once, by `check`; not on stderr with every request
warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)
_PREFIX = "v1"


class Session(msgspec.Struct, frozen=True, array_like=True):
    bot: str
    origin: str
    conversation: str
    visitor: str
    expires_at: float


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a session: nobody in particular, a JWT, or an id with its HMAC; and proof of work
    when it was asked for.
    """

    identity: str | None = None
    user_id: str | None = None
    user_hash: str | None = None
    proof: str | None = None


def refused() -> Problem:
    """401, in the same words whatever was wrong."""
    return Problem(401, "This needs a valid session.", headers={"WWW-Authenticate": "Bearer"})


def begin(bot: str, origin: str, user: str | None, now: float) -> Session:
    """Start a conversation, of a verified user or of somebody new."""
    visitor = verified_visitor(bot, user) if user is not None else f"visitor-{secrets.token_hex(16)}"
    return Session(
        bot=bot,
        origin=origin,
        conversation=secrets.token_hex(16),
        visitor=visitor,
        expires_at=now + LIFETIME,
    )


def renewed(session: Session, now: float) -> Session:
    """The same conversation for another while."""
    return msgspec.structs.replace(session, expires_at=now + LIFETIME)


def verified_visitor(bot: str, user: str) -> str:
    """A verified user's id with this bot."""
    digest = hashlib.sha256(f"{bot}\0{user}".encode(errors="replace")).hexdigest()
    return f"user-{digest[:32]}"


def seal(session: Session, key: bytes) -> str:
    signed = f"{_PREFIX}.{_encode(msgspec.json.encode(session))}"
    return f"{signed}.{_encode(_mac(signed, key))}"


def unseal(token: str, key: bytes, *, bot: str, origin: str, now: float) -> Session:
    """Read a token that we made for this bot and origin. Raises Problem 401."""
    signed, _, mac = token.rpartition(".")
    prefix, _, payload = signed.partition(".")
    if prefix != _PREFIX or not hmac.compare_digest(
        _encode(_mac(signed, key)).encode(), mac.encode(errors="replace")
    ):
        raise refused()
    session = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Session)
    if (session.bot, session.origin) != (bot, origin) or session.expires_at <= now:
        raise refused()
    return session


def verified_user(claim: Claim, secret: str | None, now: float) -> str | None:
    """The user that the site's backend vouches for; None if it names nobody. Raises Problem 401."""
    if claim.identity is None and claim.user_id is None and claim.user_hash is None:
        return None
    if not secret:
        raise refused()
    if claim.identity is not None:
        return _subject(claim.identity, secret, now)
    return _hashed_user(claim, secret)


def _subject(token: str, secret: str, now: float) -> str:
    try:
        facts = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            # times are judged below, by the gateway's clock
            options={
                "require": ["sub", "exp"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
            },
        )
        expires, begins = float(facts["exp"]), float(facts.get("nbf", 0))
    except (jwt.InvalidTokenError, TypeError, ValueError):
        raise refused() from None
    in_time = now < expires <= now + IDENTITY_LIFETIME + _SKEW and begins <= now + _SKEW
    if not facts["sub"] or not in_time:
        raise refused()
    return str(facts["sub"])


def _hashed_user(claim: Claim, secret: str) -> str:
    user = claim.user_id or ""
    expected = hmac.new(secret.encode(), user.encode(errors="replace"), hashlib.sha256).hexdigest()
    if not user or not hmac.compare_digest(
        expected.encode(), (claim.user_hash or "").lower().encode(errors="replace")
    ):
        raise refused()
    return user


def _mac(text: str, key: bytes) -> bytes:
    return hmac.digest(key, text.encode(errors="replace"), "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
