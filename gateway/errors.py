"""What can go wrong, by what has to happen next; `policy/retry.py` turns the type into a decision.

Vendor errors are translated at one door each (an adapter, the Sensay client, a journal) with the cause
chained. `context` holds what an operator needs to see (`operation`, `status`, `code`, `request_id`,
`fingerprint`, …) and never a secret or message text.
"""

from __future__ import annotations

from typing import Any, Literal

Scope = Literal["part", "lane", "channel"]
"""What an error concerns: this one part or request; its lane (one chat of one bot); the whole channel of the
bot.
"""


class GatewayError(Exception):
    """Base of all. `context` is loggable as it is."""

    def __init__(self, message: str, *, scope: Scope = "part", **context: Any) -> None:
        super().__init__(message)
        self.scope: Scope = scope
        self.context: dict[str, Any] = {key: value for key, value in context.items() if value is not None}


class Transient(GatewayError):
    """Nothing happened; the same thing may be tried again, not before `retry_after` seconds when that is
    given.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, scope: Scope = "part", **context: Any
    ) -> None:
        super().__init__(message, scope=scope, **context)
        self.retry_after = retry_after


class RateLimited(Transient):
    """A server said 429: the request was not executed and does not count against a budget."""


class NoRoom(Transient):
    """Our own budget has no room, for `retry_after` seconds at least: nothing was sent. `window` is what is full:
    minute, hour or uploads.
    """

    def __init__(self, message: str, *, retry_after: float, window: str, **context: Any) -> None:
        super().__init__(message, retry_after=retry_after, window=window, **context)
        self.window = window


class Ambiguous(GatewayError):
    """It may or may not have happened: a timeout, a dropped connection, a 5xx. Look before doing it again."""


class Permanent(GatewayError):
    """It did not happen and never will: do not try again. With `scope="lane"` nothing can be sent to this
    chat any more.
    """


class QuotaExhausted(Permanent):
    """A 429 that says a monthly allowance is used up: waiting does not help, an operator has to act."""


class InvalidArguments(Permanent):
    """What was asked for does not exist, or not with these arguments: nothing was sent. The words are for who asked."""


class Misconfigured(GatewayError):
    """A person has to act: bad token, missing intent, disabled organisation. `remedy` says what to do, in
    words.
    """

    def __init__(self, message: str, *, remedy: str, scope: Scope = "channel", **context: Any) -> None:
        super().__init__(message, scope=scope, **context)
        self.remedy = remedy


class Superseded(GatewayError):
    """The lease that this write was made under is no longer ours: stop at once, another holder has taken
    over.
    """


class Moved(Superseded):
    """The lease is to be another process's, and is given back in good order."""
