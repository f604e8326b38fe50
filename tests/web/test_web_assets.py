"""The widget's file and the hosted chat, as served."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator

import pytest

from adapters.web import assets
from gateway.policy.texts import BUILT_IN
from tests.web.web_site import REPLICA, Site, running_site

RAW = {"Accept-Encoding": "identity"}
OWNER = re.compile(rb"const OWNER=\{.*?\};")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.mark.parametrize("path", ["/widget.js", "/support/embed-script.js", f"/{REPLICA}/embed-script.js"])
async def test_the_widget_is_one_file_under_all_its_names(site: Site, path: str) -> None:
    response = await site.client.get(path, headers=RAW)

    assert (200, "text/javascript") == (response.status, response.content_type)
    assert site.platform.widget.bodies["identity"] == OWNER.sub(b"const OWNER={};", await response.read())
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


@pytest.mark.parametrize("path", ["/widget.js", "/support/embed-script.js"])
async def test_the_widget_is_small(site: Site, path: str) -> None:
    site.add("support", title="Fernweh Outdoors Support", color="#0a84ff", storage="session", consent=True)
    sizes = {}
    for encoding in ("gzip", "br"):
        response = await site.client.get(path, headers={"Accept-Encoding": encoding})
        sizes[response.headers["Content-Encoding"]] = int(response.headers["Content-Length"])

    assert sizes["gzip"] <= 12_000
    assert sizes["br"] <= 10_000


async def test_the_bound_file_knows_its_bot_and_what_the_owner_configured(site: Site) -> None:
    site.add("sales", color="#0a84ff", title='Ask "us" </script>', theme="dark", consent=True)
    response = await site.client.get("/sales/embed-script.js", headers=RAW)
    owner = json.loads(
        OWNER.search(await response.read())[0].removeprefix(b"const OWNER=").removesuffix(b";")
    )

    assert owner == {
        "title": 'Ask "us" </script>',
        "theme": "dark",
        "color": "#0a84ff",
        "storage": "local",
        "consent": True,
    }


async def test_bound_files_are_kept_within_bounds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "BOUND_KEPT", 2)
    files = site.platform.files
    made = [await files.bound({"title": str(n)}) for n in range(4)]

    assert made[3] is await files.bound({"title": "3"})
    assert made[0] is not await files.bound({"title": "0"})
    assert len(files._bound) == 2


async def test_the_widget_speaks_eight_languages_in_all_its_words(site: Site) -> None:
    """English is in the file itself; each of the others has every word that English has."""
    source = site.platform.widget.bodies["identity"].decode()
    english = set(re.findall(r"(?:^|,)(\w+):'", re.search(r"const WORDS=\{(.*?)\};", source)[1]))
    wanted = re.search(r"const LANGUAGES='(.*?)'", source)[1].split()

    assert set(wanted) == site.platform.files.words.keys() == set(BUILT_IN) - {"en"}
    for language in wanted:
        response = await site.client.get(f"/widget/{language}.json", headers=RAW)
        words = await response.json()
        assert english == words.keys() - {"dir", "lang"}, language
        assert language == words["lang"]
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert int(response.headers["Content-Length"]) < 1024
    assert (await site.client.get("/widget/xx.json")).status == 404


@pytest.mark.parametrize(
    ("accepted", "language", "direction"),
    [("ar-EG,en;q=0.5", "ar", "rtl"), ("de", "de", "ltr"), ("pl", "en", "ltr"), ('"><b>', "en", "ltr")],
)
async def test_the_hosted_chat_speaks_the_visitors_language(
    site: Site, accepted: str, language: str, direction: str
) -> None:
    page = await (await site.client.get("/chat/support", headers={"Accept-Language": accepted})).text()

    assert f'<html lang="{language}" dir="{direction}">' in page


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


def test_the_widget_makes_nodes_and_never_markup() -> None:
    source = assets.Files().widget.bodies["identity"].decode()

    sinks = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "srcdoc",
        "cookie",
    )
    assert [] == [sink for sink in sinks if sink in source]
