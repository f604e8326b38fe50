"""The widget's file and the hosted chat, as served."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator

import pytest

from tests.web.web_site import REPLICA, Site, running_site

RAW = {"Accept-Encoding": "identity"}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.mark.parametrize("path", ["/widget.js", "/support/embed-script.js", f"/{REPLICA}/embed-script.js"])
async def test_the_widget_is_one_file_under_all_its_names(site: Site, path: str) -> None:
    response = await site.client.get(path, headers=RAW)

    assert (200, "text/javascript") == (response.status, response.content_type)
    assert site.platform.widget.bodies["identity"] == await response.read()
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("zstd", None),
        ("", None),
    ],
)
async def test_each_browser_gets_the_smallest_it_understands(
    site: Site, accepted: str, encoding: str | None
) -> None:
    response = await site.client.get("/widget.js", headers={"Accept-Encoding": accepted})

    assert encoding == response.headers.get("Content-Encoding")
    assert "Accept-Encoding" in response.headers["Vary"]
    assert site.platform.widget.bodies["identity"] == await response.read()  # unpacked by the client


async def test_the_widget_is_small(site: Site) -> None:
    bodies = site.platform.widget.bodies

    assert len(bodies["gzip"]) <= 12 * 1024
    assert len(bodies["br"]) <= 10.5 * 1024


async def test_an_unchanged_widget_is_not_sent_again(site: Site) -> None:
    first = await site.client.get("/widget.js", headers=RAW)
    again = await site.client.get("/widget.js", headers={**RAW, "If-None-Match": first.headers["ETag"]})
    other = await site.client.get("/widget.js", headers={**RAW, "If-None-Match": '"other"'})

    assert (304, b"") == (again.status, await again.read())
    assert other.status == 200


async def test_the_pinned_widget_never_changes(site: Site) -> None:
    widget = site.platform.widget
    pinned = await site.client.get(f"/widget/{widget.digest}.js", headers=RAW)
    unknown = await site.client.get("/widget/0123456789abcdef.js")

    body = await pinned.read()
    assert "immutable" in pinned.headers["Cache-Control"]
    assert widget.integrity == "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode()
    assert unknown.status == 404


async def test_the_hosted_chat_is_escaped_and_locked_down(site: Site) -> None:
    site.bots["support"][1].shown = site.bots["support"][1].shown.__class__(title="<b>", greeting="hi")
    response = await site.client.get("/chat/support")

    page, policy = await response.text(), response.headers["Content-Security-Policy"]
    assert "<title>&lt;b&gt;</title>" in page
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
