"""Pictures for the replica: an address of ours that shows one file for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.telegram.pictures import LIFETIME, Pictures
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from gateway.sandbox.telegram_files import PICTURE
from tests.platforms.telegram_scene import TOKEN, Scene, telegram_scene

NOW = 1_800_000_000.0
OURS = Pictures(b"k" * 32, "https://ours.example/files")
FILE_IDS = st.text("abcXYZ019_-", min_size=1, max_size=120)


@given(FILE_IDS, st.floats(0, LIFETIME - 1))
def test_an_address_stands_for_its_file_until_it_expires(file_id: str, age: float) -> None:
    prefix, _, signed = OURS.url(file_id, NOW).rpartition("/")

    assert "https://ours.example/files" == prefix
    assert file_id == OURS.file_id(signed, NOW + age)
    assert OURS.file_id(signed, NOW + LIFETIME + 1) is None
    assert Pictures(b"x" * 32, "").file_id(signed, NOW) is None


@given(FILE_IDS, st.integers(0, 200), st.sampled_from("aZ0_-.é"))
def test_an_address_that_was_changed_stands_for_nothing(file_id: str, place: int, char: str) -> None:
    signed = OURS.url(file_id, NOW).rpartition("/")[2]
    at = place % len(signed)
    changed = signed[:at] + char + signed[at + 1 :]

    # The last character of a seal holds two bits that stand for nothing.
    assert changed == signed or OURS.file_id(changed, NOW) is None
    assert OURS.file_id(signed + char, NOW) is None
    assert OURS.file_id(signed[:at], NOW) is None


# --- over sockets -----------------------------------------------------------------------------------------------


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with telegram_scene(sandbox) as scene:
        scene.host.images = True
        yield scene


async def got(scene: Scene, url: str):
    async with scene.http.get(url) as response:
        return response.status, await response.read(), response.headers


async def test_the_replica_is_shown_a_picture_by_an_address_without_the_token(scene: Scene) -> None:
    async with scene.running():
        await scene.says(photo=True, caption="what is it?")
        (said,) = await scene.heard()
        (url,) = said.images
        status, content, headers = await got(scene, url)
        async with scene.http.head(url) as head:
            assert 405 == head.status

    assert "what is it?" == said.text
    assert url.startswith(f"http://127.0.0.1:{scene.port}/v1/telegram/support/files/")
    assert TOKEN.partition(":")[2] not in url
    assert (200, PICTURE) == (status, content)
    assert ("image/png", "nosniff", "no-store") == tuple(
        headers[name] for name in ("Content-Type", "X-Content-Type-Options", "Cache-Control")
    )


async def test_a_picture_alone_is_a_question_when_pictures_are_shown_and_else_is_not(scene: Scene) -> None:
    async with scene.running():
        await scene.says(photo=True)
        await scene.heard(1)
        scene.host.images = False
        await scene.says(photo=True)
        shown, refused = await scene.heard(2)

    assert (1, None) == (len(shown.images), shown.answer_with)
    assert (0, "unsupported") == (len(refused.images), refused.answer_with)


async def test_an_address_that_is_too_old_or_made_up_shows_nothing(scene: Scene) -> None:
    async with scene.running():
        await scene.says(photo=True)
        (url,) = (await scene.heard())[0].images
        made_up = await got(scene, url[:-3] + "abc")
        scene.host.clock.advance(LIFETIME + 1)
        late = await got(scene, url)
    stopped = await got(scene, url)

    assert [404, 404, 404] == [made_up[0], late[0], stopped[0]]
    assert 0 == scene.bot.calls["getfile"]


@pytest.mark.parametrize(
    ("operation", "kind", "times"),
    [
        ("getFile", "status", 1),
        ("getFile", "drop_before", 1),
        ("getFile", "malformed", 1),
        ("file", "status", 1),
        ("file", "drop_before", 2),  # the HTTP client itself repeats a GET once
    ],
)
async def test_trouble_at_telegram_is_a_502_without_its_address(
    scene: Scene, operation: str, kind: str, times: int
) -> None:
    async with scene.running():
        await scene.says(photo=True)
        (url,) = (await scene.heard())[0].images
        scene.sandbox.faults.add(Fault("telegram", operation, kind, status=500, times=times))
        status, content, _ = await got(scene, url)
        again, _, _ = await got(scene, url)

    assert (502, 200) == (status, again)
    assert TOKEN.encode() not in content


async def test_only_pictures_are_passed_on(scene: Scene) -> None:
    async with scene.running():
        await scene.says(photo=True)
        (url,) = (await scene.heard())[0].images
        scene.bot.file_suffix = "html"
        status, _, _ = await got(scene, url)

    assert 404 == status
