"""How python-telegram-bot talks: one aiohttp session for all bots, and errors that say whether a request left.

`BaseRequest` is PTB's own seam. One shared `HTTPXRequest` would serve 500 bots in quadratic time and one each
would cost 1.5 MB a bot; PTB is left as what it is best at, a typed client.

No message of an error made here holds an address, since the address holds the token; that is why causes are cut off.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from telegram import Bot
from telegram.error import NetworkError, TelegramError
from telegram.request import BaseRequest, RequestData

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
"""Short read timeouts make unknown outcomes: a send is given time."""
KEEP_ALIVE = 60.0
BOT_API = {400, 401, 403, 404, 409}
"""Refusals that PTB has a class for; to all others it would say that nobody knows what became of the request."""


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


class AiohttpRequest(BaseRequest):
    """PTB's transport on a session made at the first request and shared by all bots, until `close`."""

    __slots__ = ("_session", "date")

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self.date: str | None = None
        """What the server's clock showed at its last answer, as HTTP has it."""

    @property
    def read_timeout(self) -> float:
        return READ_TIMEOUT

    async def initialize(self) -> None:
        """Nothing: the session makes itself."""

    async def shutdown(self) -> None:
        """Nothing: `Bot.shutdown` of one bot must not end the others' connections."""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
            )
        return self._session

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002 - covered by the total
        connect_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002 - one for all
        pool_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002 - the pool has no bound
    ) -> tuple[int, bytes]:
        reading = READ_TIMEOUT if read_timeout is BaseRequest.DEFAULT_NONE else float(read_timeout)
        timeout = aiohttp.ClientTimeout(
            total=CONNECT_TIMEOUT + 2 * reading, connect=CONNECT_TIMEOUT, sock_read=reading
        )
        body = _body(request_data)
        try:
            async with self._open().request(
                method, url, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                status, payload = response.status, await response.read()
                self.date = response.headers.get("Date")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSentError(f"No connection ({type(error).__name__})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnknownError(f"Connection broken ({type(error).__name__})") from None
        if status >= 500:
            raise UnknownError(f"Server error {status}")
        if status == 429:
            raise FloodError(_retry_after(payload))
        if status >= 300 and status not in BOT_API:
            raise RefusedError(f"Refused with status {status}")
        return status, payload

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

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Like PTB's, without logging the payload."""
        answer = decode(payload)
        if not isinstance(answer, dict):
            raise UnknownError("The server's answer is not JSON")
        return answer


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


class Client(Bot):
    """PTB's client with raw answers: a field that PTB cannot read must neither hide a sent message nor stop a poll."""

    def __init__(self, token: str, base_url: str, request: AiohttpRequest) -> None:
        super().__init__(
            token,
            base_url=f"{base_url}/bot",
            base_file_url=f"{base_url}/file/bot",
            request=request,
            get_updates_request=request,
        )
        self._transport = request

    def __repr__(self) -> str:
        return f"Client({self.token.partition(':')[0]}:***)"

    async def call(self, method: str, *, read_timeout: float = READ_TIMEOUT, **parameters: Any) -> Any:
        """Call a method of the Bot API. Raises TelegramError; `do_api_request` would do, but for its warnings."""
        return await self._post(method, parameters, read_timeout=read_timeout)

    @asynccontextmanager
    async def download(self, file_id: str) -> AsyncIterator[Download]:
        """A file that somebody sent. Raises TelegramError."""
        facts = await self.call("getFile", file_id=file_id)
        path = facts.get("file_path") if isinstance(facts, dict) else None
        if not isinstance(path, str):
            raise UnknownError("the answer names no file")
        async with self._transport.download(f"{self.base_file_url}/{path}") as response:
            yield Download(path, response)


def decode(payload: bytes) -> Any:
    """JSON as it comes, halves of surrogate pairs replaced (nothing later could encode them); None if it is none."""
    try:
        value = json.loads(payload.decode("utf-8", "replace"))
        if b"\\ud" in payload or b"\\uD" in payload:
            text = json.dumps(value, ensure_ascii=False)
            value = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def _body(data: RequestData | None) -> Any:
    if data is None:
        return None
    if not data.contains_files:
        return aiohttp.JsonPayload(data.parameters)
    form = aiohttp.FormData(data.json_parameters)
    for name, (filename, content, kind) in data.multipart_data.items():
        form.add_field(name, content, filename=filename, content_type=kind)
    return form


def _retry_after(payload: bytes) -> float:
    answer = decode(payload)
    parameters = answer.get("parameters") if isinstance(answer, dict) else None
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 5.0
