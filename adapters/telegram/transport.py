"""How the Bot API is called: one aiohttp session for all bots, and errors that say whether a request left.

The errors are python-telegram-bot's, and so are the types that answers are read with; its own requests are made for one
bot, and cost three times as much.

No message of an error made here holds an address, since the address holds the token; that is why causes are cut off.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
import msgspec
from telegram import InputFile
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    TelegramError,
)
from yarl import URL

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
"""Short read timeouts make unknown outcomes: a send is given time."""
KEEP_ALIVE = 60.0
REFUSALS: Mapping[int, type[TelegramError]] = {
    400: BadRequest,
    401: InvalidToken,
    403: Forbidden,
    404: InvalidToken,  # of a malformed token; of an unknown method, too
    409: Conflict,
}
"""As python-telegram-bot has them."""
JSON = {"Content-Type": "application/json"}


class NotSentError(NetworkError):
    """The request did not reach the server."""


class UnknownError(NetworkError):
    """The request may have been carried out: a timeout, a broken connection, a 5xx, an answer that is not JSON."""


class RefusedError(TelegramError):
    """A status that the Bot API does not use (413, a redirect): not carried out, and no better the next time."""


class FloodError(TelegramError):
    """429: not carried out, wait `seconds`. PTB's own `RetryAfter` is about to change the type of its attribute."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many requests, retry after {seconds:g} s")
        self.seconds = seconds


class BotApi:
    """A session made at the first request and shared by all bots, until `close`."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self.date: str | None = None
        """What the server's clock showed at its last answer, as HTTP has it."""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def post(self, url: URL, body: bytes | aiohttp.FormData, read_timeout: float) -> Any:
        """What the Bot API answers. Raises TelegramError."""
        try:
            async with self._open().post(
                url,
                data=body,
                headers=JSON if isinstance(body, bytes) else None,
                timeout=_patience(read_timeout),
                allow_redirects=False,
            ) as response:
                status, payload = response.status, await response.read()
                self.date = response.headers.get("Date")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSentError(f"No connection ({type(error).__name__})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnknownError(f"Connection broken ({type(error).__name__})") from None
        if status >= 300:
            raise refusal(status, payload)
        answer = decode(payload)
        if not isinstance(answer, dict) or "result" not in answer:
            raise UnknownError("The server's answer is not the Bot API's")
        return answer["result"]

    @asynccontextmanager
    async def download(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Get a file. Raises NotSentError, UnknownError."""
        timeout = aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
        try:
            async with self._open().get(url, timeout=timeout, allow_redirects=False) as response:
                if response.status != 200:
                    raise UnknownError(f"No file (status {response.status})")
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnknownError(f"Download broken ({type(error).__name__})") from None


@dataclass(frozen=True)
class Download:
    """A file on its way. `path` is Telegram's name for it."""

    path: str
    response: aiohttp.ClientResponse

    @property
    def size(self) -> int | None:
        return self.response.content_length

    async def pieces(self, size: int) -> AsyncIterator[bytes]:
        """Raises UnknownError when it breaks off."""
        try:
            async for piece in self.response.content.iter_chunked(size):
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnknownError(f"Download broken ({type(error).__name__})") from None


class Client:
    """One bot's calls, with raw answers: an odd field must neither hide a message that was sent nor stop a poll."""

    def __init__(self, token: str, api_url: str, api: BotApi) -> None:
        self.token = token
        self._api_url, self._api = api_url, api
        self._urls: dict[str, URL] = {}

    def __repr__(self) -> str:
        return f"Client({self.token.partition(':')[0]}:***)"

    async def call(self, method: str, *, read_timeout: float = READ_TIMEOUT, **parameters: Any) -> Any:
        """Call a method of the Bot API, without the parameters that are None. Raises TelegramError."""
        given = {name: value for name, value in parameters.items() if value is not None}
        files = {name: value for name, value in given.items() if isinstance(value, InputFile)}
        body = _form(given, files) if files else msgspec.json.encode(given)
        return await self._api.post(self._url(method), body, read_timeout)

    def _url(self, method: str) -> URL:
        if method not in self._urls:
            self._urls[method] = URL(f"{self._api_url}/bot{self.token}/{method}")
        return self._urls[method]

    @asynccontextmanager
    async def download(self, file_id: str) -> AsyncIterator[Download]:
        """A file that somebody sent. Raises TelegramError."""
        facts = await self.call("getFile", file_id=file_id)
        path = facts.get("file_path") if isinstance(facts, dict) else None
        if not isinstance(path, str):
            raise UnknownError("the answer names no file")
        address = f"{self._api_url}/file/bot{self.token}/{path}"
        async with self._api.download(address) as response:
            yield Download(path, response)


def decode(payload: bytes) -> Any:
    """JSON as it comes, halves of surrogate pairs replaced (nothing later could encode them); None if it is none."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_odd(payload)
    except RecursionError:
        return None


def _decode_odd(payload: bytes) -> Any:
    try:
        value = json.loads(payload.decode("utf-8", "replace"))
        text = json.dumps(value, ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        return None


def refusal(status: int, payload: bytes) -> TelegramError:
    """What an answer means that is no success."""
    if status >= 500:
        return UnknownError(f"Server error {status}")
    answer = decode(payload)
    answer = answer if isinstance(answer, dict) else {}
    parameters = answer.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    if status == 429:
        seconds = parameters.get("retry_after")
        return FloodError(float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 5.0)
    if status not in REFUSALS:
        return RefusedError(f"Refused with status {status}")
    if isinstance(moved_to := parameters.get("migrate_to_chat_id"), int):
        return ChatMigrated(moved_to)
    return REFUSALS[status](str(answer.get("description") or f"Refused with status {status}"))


@lru_cache(16)
def _patience(reading: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=CONNECT_TIMEOUT + 2 * reading, connect=CONNECT_TIMEOUT, sock_read=reading
    )


def _form(given: Mapping[str, Any], files: Mapping[str, InputFile]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in given.items():
        if name not in files:
            form.add_field(name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
    for name, file in files.items():
        filename, content, kind = file.field_tuple
        form.add_field(name, content, filename=filename, content_type=kind)
    return form
