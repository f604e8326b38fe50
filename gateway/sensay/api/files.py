"""A file on its way to Sensay: checked before anything is announced, then put where the signed address says.

The upload itself goes to Sensay's storage, not through its API: it carries no key, and costs nothing of the quota but
the announcement. So it leaves from where the file is, not through a running gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import httpx

from gateway.errors import InvalidArguments, Permanent, Transient

LARGEST = 50 * 2**20
"""Bytes: 50 MB."""
_DOCUMENTS = "pdf pdfa txt md doc docx rtf html htm csv tsv json yml yaml xls xlsx epub mobi ibooks"
_MEDIA = "png jpg jpeg webp heic heif wav mp3 aiff aac flac ogg mp4 mpeg mov avi flv webm wmv 3gp"
SUPPORTED = frozenset(f"{_DOCUMENTS} {_MEDIA}".split())
_CHUNK = 256 * 1024
_PATIENCE = httpx.Timeout(120.0, connect=10.0)


class Upload(Protocol):
    async def __call__(
        self, address: str, file: Path, size: int, progress: Callable[[int, int], None]
    ) -> None:
        """Raises Permanent when the file is refused, Transient when it could not be sent."""
        ...


def checked(file: Path) -> int:
    """The file's size. Raises InvalidArguments for what Sensay would not take."""
    kind = file.suffix.lower().lstrip(".")
    if kind not in SUPPORTED:
        raise InvalidArguments(
            f"{file.name}: files of this type are not supported ({', '.join(sorted(SUPPORTED))})",
            remedy="convert it to PDF, TXT, MD, DOCX or HTML",
        )
    try:
        size = file.stat().st_size if file.is_file() else None
    except OSError as error:
        raise InvalidArguments(f"{file.name}: {error.strerror}") from error
    if size is None:
        raise InvalidArguments(f"{file.name}: there is no such file")
    if size == 0:
        raise InvalidArguments(f"{file.name}: the file is empty")
    if size > LARGEST:
        megabytes = size / 2**20
        raise InvalidArguments(
            f"{file.name}: {megabytes:.1f} MB are more than 50 MB", remedy="divide it into smaller files"
        )
    return size


async def put(address: str, file: Path, size: int, progress: Callable[[int, int], None]) -> None:
    """Send the file as it is. The address is a secret for as long as it is good: it is never named."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_PATIENCE) as http:
            response = await http.put(address, headers=headers, content=_read(file, size, progress))
    except httpx.HTTPError as error:
        raise Transient(
            f"{file.name} could not be sent: {type(error).__name__}", operation="upload", remedy="try again"
        ) from None
    if response.is_success:
        return
    said = f"{file.name} was refused with {response.status_code}"
    if response.status_code >= 500:
        raise Transient(said, operation="upload", status=response.status_code, remedy="try again later")
    raise Permanent(
        said, operation="upload", status=response.status_code, remedy=_REMEDIES.get(response.status_code)
    )


_REMEDIES = {
    400: "check that the file is not empty or damaged",
    403: "the address was good for some hours only: try again",
    404: "the address was good for one upload only: try again",
    413: "Sensay takes files of 50 MB at most",
}


async def _read(file: Path, size: int, progress: Callable[[int, int], None]) -> AsyncIterator[bytes]:
    sent = 0
    with file.open("rb") as source:
        while chunk := await asyncio.to_thread(source.read, _CHUNK):
            yield chunk
            sent += len(chunk)
            progress(sent, size)
