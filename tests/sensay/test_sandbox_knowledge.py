"""The sandbox's knowledge: texts, pages, videos and files, and the guide's training."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.sandbox.sensay import entry as entry_module
from gateway.sandbox.sensay.entry import read_file
from tests.sensay.api import ADA, Api, R, api

KB = f"{R}/knowledge-base"
FACT = "The office dog is called Biscuit."
QUESTION = "What is the office dog called?"


@pytest.fixture
async def sensay() -> AsyncIterator[Api]:
    async with api() as made:
        yield made


async def add(sensay: Api, **body: Any) -> list[dict[str, Any]]:
    answer = await sensay.ask("POST", KB, body)
    assert answer.status_code == 207, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


async def number(sensay: Api, **body: Any) -> int:
    (result,) = await add(sensay, **body)
    return int(result["knowledgeBaseID"])


async def answer(sensay: Api) -> str:
    said = await sensay.post(f"{R}/chat/completions", {"content": QUESTION, "skip_chat_history": True}, ADA)
    return str(said["content"])


# --- texts and pages ---


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": " \n\t"},
        {"text": "x", "url": "https://a.example"},
        {"url": "ftp://a.example"},
        {"url": "https://localhost/"},
        {"filename": ""},
        {"filename": "virus.exe"},
        {"filename": "no-extension"},
        {"text": "x", "autoRefresh": True},
    ],
)
async def test_knowledge_that_is_empty_ambiguous_or_of_no_use_is_a_400(sensay: Api, body: dict[str, Any]):
    assert 400 == (await sensay.ask("POST", KB, body)).status_code
    assert 1 == (await sensay.get(KB))["total"]


async def test_an_entry_gets_ready_with_time_too(sensay: Api):
    entry = await number(sensay, text=FACT)
    statuses = []
    for _ in range(5):
        (shown,) = [item for item in (await sensay.get(KB))["items"] if item["id"] == entry]
        statuses.append(shown["status"])
        sensay.now += 5

    assert ["NEW", "RAW_TEXT", "PROCESSED_TEXT", "VECTOR_CREATED", "READY"] == statuses


async def test_a_page_is_known_once_and_one_that_is_not_there_cannot_be_processed(sensay: Api):
    good = await number(sensay, url="https://shop.example/returns", autoRefresh=True)
    bad = await number(sensay, url="https://gone.invalid/")
    twice = await sensay.ask("POST", KB, {"url": "https://shop.example/returns"})
    sensay.now += 60
    shown, failed = await sensay.get(f"{KB}/{good}"), await sensay.get(f"{KB}/{bad}")

    assert 409 == twice.status_code
    assert ("website", "READY", True) == (shown["type"], shown["status"], shown["website"]["autoRefresh"])
    assert "UNPROCESSABLE" == failed["status"]
    assert failed["error"].keys() == {"message", "fingerprint"}


async def test_of_a_playlist_one_video_may_fail(sensay: Api):
    good = await add(sensay, url="https://www.youtube.com/playlist?list=cooking")
    mixed = await add(sensay, url="https://www.youtube.com/playlist?list=private-cooking")

    assert [True] * 3 == [result["enqueued"] for result in good]
    assert [True, True, False] == [result["enqueued"] for result in mixed]
    assert {"enqueued", "type", "error"} == mixed[2].keys()
    assert 6 == (await sensay.get(f"{KB}?type=youtube"))["total"] + 1


async def test_entries_are_listed_by_type_status_and_page(sensay: Api):
    for text in "abc":
        await number(sensay, text=text)

    first = await sensay.get(f"{KB}?pageSize=2&sortOrder=asc")
    rest = await sensay.get(f"{KB}?pageSize=2&page=2&sortOrder=asc")
    beyond = await sensay.get(f"{KB}?page=9")
    ids = [item["id"] for item in first["items"] + rest["items"]]

    assert (4, sorted(ids)) == (first["total"], ids)
    assert (4, []) == (beyond["total"], beyond["items"])
    assert 3 == (await sensay.get(f"{KB}?status=NEW"))["total"]


async def test_an_entry_is_changed_and_learnt_anew(sensay: Api):
    entry = await number(sensay, text="Nothing of interest.")
    sensay.now += 60
    await sensay.ask("PATCH", f"{KB}/{entry}", {"rawText": FACT, "title": "Dog", "generatedFacts": ["a dog"]})
    shown = await sensay.get(f"{KB}/{entry}")

    assert ("RAW_TEXT", "Dog", ["a dog"]) == (shown["status"], shown["title"], shown["generatedFacts"])
    assert "Biscuit" in await answer(sensay)
    assert 400 == (await sensay.ask("PATCH", f"{KB}/{entry}", {})).status_code


async def test_to_delete_what_is_under_way_takes_a_while(sensay: Api):
    early, late = await number(sensay, text=FACT), await number(sensay, text="b")
    under_way = await sensay.ask("DELETE", f"{KB}/{early}")
    sensay.now += 60
    ready = await sensay.ask("DELETE", f"{KB}/{late}")
    again = await sensay.ask("DELETE", f"{KB}/{late}")

    assert [202, 200, 404] == [one.status_code for one in (under_way, ready, again)]
    assert under_way.json()["message"]
    assert "Biscuit" not in await answer(sensay)


# --- files ---


async def put(sensay: Api, address: str, data: bytes) -> httpx.Response:
    return await sensay.http.put(address, content=data, headers={"Content-Type": "application/octet-stream"})


async def test_a_file_is_uploaded_to_an_address_that_is_good_once(sensay: Api):
    (made,) = await add(sensay, filename="dog.md")
    waiting = await sensay.get(f"{KB}/{made['knowledgeBaseID']}")
    first, second = [await put(sensay, made["signedURL"], FACT.encode()) for _ in range(2)]
    (uploaded, _) = (await sensay.get(KB))["items"]
    shown = await sensay.get(f"{KB}/{made['knowledgeBaseID']}")

    assert ("file", "NEW") == (waiting["type"], waiting["status"])
    assert [200, 404] == [first.status_code, second.status_code]
    assert "FILE_UPLOADED" == uploaded["status"]
    assert ("RAW_TEXT", FACT) == (shown["status"], shown["rawText"])
    assert {"name": "dog.md", "size": len(FACT), "mimeType": "text/markdown"} == shown["file"]
    assert "Biscuit" in await answer(sensay)


async def test_a_file_over_50_mb_is_a_413_and_nothing_is_half_done(
    sensay: Api, monkeypatch: pytest.MonkeyPatch
):
    assert 50 * 2**20 == entry_module.LARGEST_FILE
    monkeypatch.setattr("gateway.sandbox.sensay.storage.LARGEST_FILE", 1000)
    (made,) = await add(sensay, filename="dog.txt")
    large = await put(sensay, made["signedURL"], b"x" * 1001)
    status = (await sensay.get(f"{KB}/{made['knowledgeBaseID']}"))["status"]
    fits = await put(sensay, made["signedURL"], b"x" * 1000)

    assert [413, 200] == [large.status_code, fits.status_code]
    assert "NEW" == status


async def test_an_empty_file_and_an_old_or_deleted_address_are_refused(sensay: Api):
    empty, old, deleted = [(await add(sensay, filename=f"{name}.txt"))[0] for name in "abc"]
    await sensay.ask("DELETE", f"{KB}/{deleted['knowledgeBaseID']}")
    nothing = await put(sensay, empty["signedURL"], b"")
    gone = await put(sensay, deleted["signedURL"], b"x")
    sensay.now += 2 * 3600
    late = await put(sensay, old["signedURL"], b"x")

    assert [400, 404, 404] == [one.status_code for one in (nothing, gone, late)]


async def test_a_file_that_cannot_be_read_is_unprocessable(sensay: Api):
    (made,) = await add(sensay, filename="dog.docx")
    await put(sensay, made["signedURL"], b"no zip")
    shown = await sensay.get(f"{KB}/{made['knowledgeBaseID']}")

    assert "UNPROCESSABLE" == shown["status"]


async def test_ten_uploads_an_hour():
    async with api() as sensay:
        statuses = [(await sensay.ask("POST", KB, {"filename": "a.txt"})).status_code for _ in range(11)]
        text = await sensay.ask("POST", KB, {"text": "x"})
        refused = await sensay.ask("GET", f"{R}/training/files/upload?filename=a.txt")
        sensay.now += 3600
        later = await sensay.ask("POST", KB, {"filename": "a.txt"})

    assert [207] * 10 + [429] == statuses
    assert (207, 429, 207) == (text.status_code, refused.status_code, later.status_code)
    assert "3600" == refused.headers["Retry-After"]


def word(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", f"<w:p><w:t>{text}</w:t></w:p>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("a.txt", b"\xef\xbb\xbfBiscuit"),
        ("a.html", b"<style>p{}</style><p>Biscuit</p>"),
        ("a.DOCX", word("Biscuit")),
        ("a.pdf", b"%PDF-1.4\nstream\n" + zlib.compress(b"BT (Biscuit) Tj ET") + b"\nendstream"),
    ],
)
def test_the_text_of_a_file_is_found(filename: str, data: bytes):
    assert "Biscuit" == read_file(filename, data)


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("a.txt", b"\xff\xfe\xff"),
        ("a.docx", b"PK"),
        ("a.pdf", b"no pdf"),
        ("a.pdf", b"%PDF-"),
        ("a.txt", b""),
    ],
)
def test_a_file_without_text_is_empty(filename: str, data: bytes):
    assert "" == read_file(filename, data)


# --- the guide's training ---


async def test_training_begins_empty_and_goes_its_way(sensay: Api):
    root = f"{R}/training"
    entry = (await sensay.post(root, {}))["knowledgeBaseID"]
    blank = (await sensay.get(f"{root}/{entry}"))["status"]
    empty = await sensay.ask("PUT", f"{root}/{entry}", {"rawText": " "})
    await sensay.ask("PUT", f"{root}/{entry}", {"rawText": FACT})
    under_way = (await sensay.get(f"{root}/{entry}"))["status"]
    sensay.now += 60
    ready = (await sensay.get(f"{root}/{entry}"))["status"]
    gone = await sensay.ask("DELETE", f"{root}/{entry}")

    assert ["BLANK", "PROCESSING", "READY"] == [blank, under_way, ready]
    assert (400, 200) == (empty.status_code, gone.status_code)
    assert {"message", "code"} < empty.json().keys()


async def test_training_takes_files_too(sensay: Api):
    made = await sensay.get(f"{R}/training/files/upload?filename=dog.txt")
    before = (await sensay.get(f"{R}/training/{made['knowledgeBaseID']}"))["status"]
    await put(sensay, made["signedURL"], FACT.encode())

    assert "AWAITING_UPLOAD" == before
    assert "Biscuit" in await answer(sensay)
