"""The widget in Firefox: a smoke test over WebDriver BiDi, which Firefox speaks itself, without a driver."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, web
from aiohttp.test_utils import TestServer

from tests.web.web_shop import HEAD, ONE_TAG, STRICT
from tests.web.web_site import running_site

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        FIREFOX is None, reason="NO FIREFOX TEST: it is missing (apt-get install firefox-esr)"
    ),
]


class Firefox:
    """One tab, commanded over BiDi."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self.tab = ""
        self.said: list[str] = []

    async def command(self, method: str, **params: Any) -> Any:
        wanted = next(self._ids)
        await self._socket.send_json({"id": wanted, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=20)
            if message.get("method") == "log.entryAdded":
                self.said.append(f"{message['params']['level']}: {message['params']['text']}")
            elif message.get("id") == wanted:
                assert message["type"] == "success", message
                return message["result"]

    async def start(self) -> None:
        await self.command("session.new", capabilities={})
        await self.command("session.subscribe", events=["log.entryAdded"])
        tree = await self.command("browsingContext.getTree")
        self.tab = tree["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        await self.command("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    async def run(self, script: str) -> Any:
        """Evaluate in the page; `root` is the widget's shadow root."""
        body = f"(() => {{ const root = document.querySelector('sensay-chat')?.shadowRoot; return {script}; }})()"
        result = await self.command(
            "script.evaluate", expression=body, target={"context": self.tab}, awaitPromise=True
        )
        assert result["type"] == "success", result
        return result["result"].get("value")

    async def until(self, script: str) -> None:
        async with asyncio.timeout(20):
            while not await self.run(script):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[Firefox]:
    (profile / "user.js").write_text('user_pref("remote.prefs.recommended", true);\n')
    process = await asyncio.create_subprocess_exec(
        str(FIREFOX),
        *("--headless", "--remote-debugging-port", "0", "--profile", str(profile), "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            found = None
            while found is None:
                found = re.search(rb"WebDriver BiDi listening on (ws://\S+)", await process.stderr.readline())
        reading = asyncio.create_task(process.stderr.read())
        async with ClientSession() as session, session.ws_connect(f"{found[1].decode()}/session") as socket:
            made = Firefox(socket)
            await made.start()
            yield made
        reading.cancel()
    finally:
        process.kill()
        await process.wait()


async def test_a_whole_conversation_in_firefox_under_a_strict_policy(tmp_path: Path) -> None:
    async with running_site(now=time.time()) as site, firefox(tmp_path) as browser:
        gateway = str(site.client.make_url("")).rstrip("/")

        async def page(_: web.Request) -> web.Response:
            body = (
                f"{HEAD}<body><main><h1>Shop</h1>{ONE_TAG.replace('GATEWAY', gateway)}</main></body></html>"
            )
            policy = {"Content-Security-Policy": STRICT.replace("{gateway}", gateway)}
            return web.Response(text=body, content_type="text/html", headers=policy)

        app = web.Application()
        app.router.add_get("/", page)
        async with TestServer(app) as server:
            origin = str(server.make_url("")).rstrip("/")
            host = site.add("support", allowed_origins=(origin,))
            await browser.open(origin)
            await browser.until("Boolean(root?.querySelector('.launcher')?.getBoundingClientRect().width)")
            await browser.run("root.querySelector('.launcher').click()")
            await browser.until("root.querySelector('.theirs') !== null")
            await browser.run("SensayWidget.send('Hello from Firefox?')")
            async with asyncio.timeout(20):
                while not host.said:
                    await asyncio.sleep(0.01)
            await site.answer("Hi, **Firefox**.")
            await browser.until("root.querySelector('.theirs strong')?.textContent === 'Firefox'")

            looks = json.loads(
                await browser.run("JSON.stringify(getComputedStyle(root.querySelector('.panel')).display)")
            )
            assert looks == "flex"
            assert await browser.run("root.querySelectorAll('.mine').length") == 1
            assert await browser.run("root.querySelectorAll('.waiting').length") == 0
            assert [] == [line for line in browser.said if "error" in line]
            await browser.open("about:blank")
            await site.platform.close()
