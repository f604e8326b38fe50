"""One entry of a replica's knowledge: a text, a page, a video or a file, and how far it has been processed."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from html import unescape
from pathlib import PurePath
from urllib.parse import urlsplit

from gateway.sandbox.sensay.bodies import EntryStatus, EntryType

LARGEST_FILE = 50 * 2**20
KEPT_TEXT = 200_000
"""Characters of an entry that are kept."""
STAGES: tuple[EntryStatus, ...] = ("NEW", "RAW_TEXT", "PROCESSED_TEXT", "VECTOR_CREATED", "READY")
_DOCUMENTS = "doc docx rtf xls xlsx pdf pdfa csv tsv json yml yaml txt md html htm epub mobi ibooks"
_MEDIA = "png jpg jpeg webp heic heif wav mp3 aiff aac flac ogg mp4 mpeg mov avi flv webm wmv 3gp"
SUPPORTED = frozenset(f"{_DOCUMENTS} {_MEDIA}".split())
_PLAIN = frozenset(("csv", "tsv", "json", "yml", "yaml", "txt", "md"))
_STAGE_TAKES = 5.0
"""Seconds."""


@dataclass
class Entry:
    """Its status moves on each time it is looked at, or every few seconds, so that nobody has to wait for a clock.

    A file stays NEW until it is uploaded. What cannot be read becomes UNPROCESSABLE, with `error`.
    """

    id: int
    replica: str
    type: EntryType
    created_at: float
    updated_at: float
    text: str = ""
    url: str | None = None
    filename: str | None = None
    size: int | None = None
    title: str | None = None
    summary: str | None = None
    facts: list[str] = field(default_factory=list)
    playlist: str | None = None
    auto_refresh: bool = False
    error: str | None = None
    looks: int = 0
    uploaded: bool = False

    def status(self, now: float) -> EntryStatus:
        if self.waiting:
            return "NEW"
        passed = max(self.looks, int((now - self.updated_at) / _STAGE_TAKES))
        if self.error is not None and passed > 0:
            return "UNPROCESSABLE"
        if passed == 0 and self.uploaded:
            return "FILE_UPLOADED"
        return STAGES[min(passed, len(STAGES) - 1)]

    @property
    def waiting(self) -> bool:
        """For its file, or for its text."""
        return not self.text and self.error is None

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(str(self.error).encode()).hexdigest()[:16]

    def learn(self, text: str, now: float) -> None:
        self.text, self.updated_at, self.looks, self.error = text[:KEPT_TEXT], now, 0, None

    def upload(self, data: bytes, now: float) -> None:
        """Take a file in; a second one takes the place of the first."""
        text = read_file(self.filename or "", data)
        self.learn(text or "", now)
        self.uploaded, self.size = True, len(data)
        self.error = None if text else "The file has no text that could be read"

    @property
    def mime_type(self) -> str | None:
        return mimetypes.guess_type(self.filename or "")[0]


def supported(filename: str) -> bool:
    return PurePath(filename).suffix.lower().lstrip(".") in SUPPORTED


def read_file(filename: str, data: bytes) -> str:
    """The text of a file, as far as a pretended service needs to read it; empty: there is none."""
    kind = PurePath(filename).suffix.lower().lstrip(".")
    if not data:
        return ""
    if kind in _PLAIN:
        return _decoded(data)
    if kind in ("html", "htm"):
        return _without_tags(_decoded(data))
    if kind == "docx":
        return _word(data)
    if kind in ("pdf", "pdfa"):
        return _pdf(data)
    return (
        f"{PurePath(filename).stem.replace('-', ' ').replace('_', ' ')}: a {kind} file of {len(data)} bytes."
    )


def page_text(url: str) -> tuple[str, str] | None:
    """Title and text of a page. Nothing is fetched: they are made of the address. None: a host that is not there."""
    parts = urlsplit(url)
    if (parts.hostname or "").endswith(".invalid"):
        return None
    words = " ".join(re.findall(r"[^\W_]+", parts.path)) or "home"
    return f"{parts.hostname}: {words}", f"# {words}\n\nThe page {url} of {parts.hostname} is about {words}."


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").strip().replace("\0", "")
    except UnicodeDecodeError:
        return ""


def _without_tags(html: str) -> str:
    bare = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", html)
    return unescape(re.sub(r"<[^>]*>", " ", bare)).strip()


def _word(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file, file.open("word/document.xml") as document:
            xml = document.read(LARGEST_FILE).decode("utf-8", "replace")
    except (zipfile.BadZipFile, KeyError, RuntimeError, zlib.error, NotImplementedError):
        return ""
    return _without_tags(re.sub(r"</w:p>", "\n", xml))


def _pdf(data: bytes) -> str:
    """The text that stands in parentheses in plain or deflated streams: enough for PDFs of a simple kind."""
    if not data.startswith(b"%PDF-"):
        return ""
    said = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL):
        try:
            plain = zlib.decompressobj().decompress(stream, KEPT_TEXT)
        except zlib.error:
            plain = stream
        said += re.findall(rb"\(((?:\\.|[^\\()])*)\)\s*(?:Tj|'|\")", plain[:KEPT_TEXT])
    return " ".join(piece.decode("latin-1") for piece in said).strip()
