"""The bots' pictures: fetched by the gateway, from where it may, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.web import picture
from adapters.web.picture import Pictures, content_type
from tests.web.web_site import SHOP, Site, Visitor, running_site

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


class Studio:
    """Serves pictures, and whatever a bad server would."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.held = asyncio.Event()
        self.held.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers = dict(request.headers)
        await self.held.wait()
        match request.path:
            case "/a.png":
                return web.Response(body=PNG, content_type="application/octet-stream")
            case "/page.png":
                return web.Response(body=b"<script>alert(1)</script>", content_type="image/png")
            case "/svg":
                return web.Response(
                    body=b"<svg xmlns='http://www.w3.org/2000/svg'/>", content_type="image/svg+xml"
                )
            case "/moved":
                raise web.HTTPFound("/a.png")
            case "/huge":
                return web.Response(body=PNG + bytes(picture.LARGEST), content_type="image/png")
        raise web.HTTPNotFound


@pytest.fixture
async def studio() -> AsyncIterator[tuple[Studio, str]]:
    made, app = Studio(), web.Application()
    app.router.add_get("/{name}", made.serve)
    server = TestServer(app)
    await server.start_server()
    yield made, str(server.make_url("/"))
    await server.close()


@contextmanager
def shown(site: Site, url: str | None) -> Iterator[None]:
    host = site.bots["support"][1]
    host.shown = msgspec.structs.replace(host.shown, picture=url)
    yield


async def fetch(site: Site, origin: str | None = SHOP, **headers: str) -> aiohttp.ClientResponse:
    given = {**headers, **({"Origin": origin} if origin else {})}
    return await site.client.get("/v1/web/support/picture", headers=given)


async def test_a_picture_comes_through_the_gateway_and_tells_nobody_who_looks(studio) -> None:
    made, url = studio
    async with running_site(upstream=url) as site:
        with shown(site, f"{url}a.png"):
            first = await fetch(site, **{"User-Agent": "Visitor/1.0", "Accept-Language": "tlh"})
            session = await (await Visitor(site).begin()).json()

        assert (200, "image/png", PNG) == (first.status, first.content_type, await first.read())
        assert first.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert first.headers["X-Content-Type-Options"] == "nosniff"
        assert session["bot"]["picture"] == "/v1/web/support/picture"
        again = await fetch(site, **{"If-None-Match": first.headers["ETag"]})
        assert again.status == 304
    assert ["/a.png"] == made.asked
    assert not {"Visitor/1.0", "tlh", SHOP} & set(made.headers.values())


async def test_a_picture_is_only_for_the_bots_own_pages(studio) -> None:
    _, url = studio
    async with running_site(upstream=url) as site:
        with shown(site, f"{url}a.png"):
            assert (await fetch(site, origin="https://evil.example")).status == 403
            assert (await fetch(site, origin=None)).status == 403


@pytest.mark.parametrize("name", ["page.png", "svg", "moved", "huge", "missing"])
async def test_what_is_not_a_small_picture_right_there_is_none(studio, name: str) -> None:
    made, url = studio
    async with running_site(upstream=url) as site:
        with shown(site, f"{url}{name}"):
            statuses = [(await fetch(site)).status for _ in range(3)]
            assert [204, 204, 204] == statuses
            await site.clock.advance(picture.FAILED)
            await fetch(site)
    assert [f"/{name}"] * 2 == made.asked  # a failure is remembered, and not for long


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://localhost/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/a.png",
    ],
)
async def test_a_profile_cannot_make_the_gateway_look_around_at_home(url: str) -> None:
    """The addresses are refused before anything is connected: nothing is waited for."""
    async with running_site(upstream="https://api.sensay.io") as site, asyncio.timeout(4):
        with shown(site, url):
            assert (await fetch(site)).status == 204


@pytest.mark.parametrize(
    "url",
    [None, "", "http://img.example/a.png", "file:///etc/passwd", "data:image/png;base64,AA==", "https://", "https://[",
     "https://user:pw@img.example/a.png", "https://img.example:port/"],
)  # fmt: skip
async def test_other_addresses_are_not_even_tried(url: str | None) -> None:
    async with running_site(upstream="https://api.sensay.io") as site:
        with shown(site, url):
            session = await (await Visitor(site).begin()).json()

            assert session["bot"]["picture"] is None
            assert (await fetch(site)).status == 204


async def test_many_visitors_at_once_are_one_fetch(studio) -> None:
    made, url = studio
    async with running_site(upstream=url) as site:
        with shown(site, f"{url}a.png"):
            made.held.clear()
            visitors = [asyncio.create_task(fetch(site)) for _ in range(5)]
            async with asyncio.timeout(5):
                while not made.asked:
                    await asyncio.sleep(0.001)
            visitors.pop().cancel()  # who leaves does not end it for the others
            made.held.set()

            assert [200] * 4 == [response.status for response in await asyncio.gather(*visitors)]
    assert ["/a.png"] == made.asked


async def test_pictures_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "KEPT", 3 * 1024)
    pictures = Pictures(None)
    for n in range(100):
        pictures._keep(f"https://img.example/{n}", 60.0, None)

    assert ["97", "98", "99"] == [url.rpartition("/")[2] for url in pictures._known]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x1cftypavif", "image/avif"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg>", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(body: bytes, kind: str | None) -> None:
    assert kind == content_type(body)
