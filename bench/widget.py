"""What the widget costs a page, and what its open streams cost the gateway. `make bench-widget`

The page is a shop of another origin with a strict policy and Trusted Types, on the slow-phone profile: 390×760, a
CPU four times slower, 1.6 Mbit/s, 150 ms, nothing cached; medians of five visits. The launcher is visible when it has
a box. Blocking time is what long tasks take beyond 50 ms each. A click counts until the frame with the panel is
painted. The streams are idle conversations over loopback; memory is what the gateway's resident set grew by.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from latency import Child, configuration, gateway, sandbox
from playwright.async_api import Browser, async_playwright

CHROMIUM = "/usr/bin/chromium"
NETWORK = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
VISITS = 5
IDLE = 30.0
"""Seconds for which CPU is measured: two pings."""
PROBE = """(() => {
  window.probe = { visible: 0, blocking: 0 };
  new PerformanceObserver(list => {
    for (const task of list.getEntries()) probe.blocking += Math.max(0, task.duration - 50);
  }).observe({ type: 'longtask', buffered: true });
  const look = () => {
    const launcher = document.querySelector('sensay-chat')?.shadowRoot?.querySelector('.launcher');
    if (launcher?.getBoundingClientRect().width) probe.visible = performance.now(); else requestAnimationFrame(look);
  };
  look();
})()"""
CLICK = """() => new Promise(done => {
  const root = document.querySelector('sensay-chat').shadowRoot, begun = performance.now();
  root.querySelector('.launcher').click();
  requestAnimationFrame(() => {
    const painted = new MessageChannel();
    painted.port1.onmessage = () => done(performance.now() - begun);
    painted.port2.postMessage(0);
  });
})"""


@dataclass(frozen=True)
class Figure:
    """One line of the result. `target` is the most it may be."""

    name: str
    value: float
    target: float
    unit: str = ""

    @property
    def good(self) -> bool:
        return self.value <= self.target

    def __str__(self) -> str:
        verdict = "ok" if self.good else "MISSED"
        value = f"{self.value:,.0f}" if self.value >= 1000 else f"{self.value:.4g}"
        return f"{self.name:<44} {value:>10} {self.unit:<4} (at most {self.target:,g})  {verdict}"


# --- the page ---


class Shop:
    """A customer's page; `gateway` is where its widget comes from."""

    def __init__(self) -> None:
        self.origin = self.gateway = ""

    async def page(self, _: web.Request) -> web.Response:
        policy = (
            f"default-src 'none'; script-src {self.gateway}; connect-src {self.gateway}; img-src data:; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        body = (
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            "<title>Shop</title><link rel=icon href='data:,'><h1>Shop</h1>"
            f"<script src='{self.gateway}/bench/embed-script.js' async></script>"
        )
        return web.Response(text=body, content_type="text/html", headers={"Content-Security-Policy": policy})


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    shop, app = Shop(), web.Application()
    app.router.add_get("/", shop.page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    shop.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield shop
    await runner.cleanup()


async def sizes(session: ClientSession, public: str) -> list[Figure]:
    figures = []
    for encoding, name, target in (("gzip", "gzip", 12_000), ("br", "brotli", 10_000)):
        async with session.get(f"{public}/widget.js", headers={"Accept-Encoding": encoding}) as response:
            figures.append(Figure(f"widget.js, {name}", int(response.headers["Content-Length"]), target, "B"))
    return figures


async def visit(browser: Browser, url: str, public: str) -> dict[str, float]:
    """One visit on a slow phone: what was seen before and after the click."""
    context = await browser.new_context(
        viewport={"width": 390, "height": 760}, device_scale_factor=2, has_touch=True
    )
    page = await context.new_page()
    trouble: list[str] = []
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    devtools = await context.new_cdp_session(page)
    asked: dict[str, str] = {}
    seen = {"bytes": 0.0, "scripts": 0.0, "others": 0.0}

    def count(event: dict[str, Any]) -> None:
        if asked.get(event["requestId"], "").startswith(public):
            seen["bytes"] += event["encodedDataLength"]

    def ask(event: dict[str, Any]) -> None:
        address = asked[event["requestId"]] = event["request"]["url"]
        if not address.startswith((url, "data:")):
            seen["scripts" if address.endswith(".js") and address.startswith(public) else "others"] += 1

    devtools.on("Network.requestWillBeSent", ask)
    devtools.on("Network.loadingFinished", count)
    await devtools.send("Network.enable")
    await devtools.send("Network.emulateNetworkConditions", NETWORK)
    await devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    await page.add_init_script(PROBE)
    await page.goto(url)
    await page.wait_for_function("probe.visible > 0")
    await page.wait_for_load_state("networkidle")
    before = dict(seen)
    probe = await page.evaluate("probe")
    click = await page.evaluate(CLICK)
    await page.locator(".theirs").first.wait_for(timeout=20_000)
    await context.close()
    if trouble:
        raise RuntimeError(f"the page complains: {trouble}")
    return {**before, **probe, "click": click}


async def page_figures(shop: Shop) -> list[Figure]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        visits = [await visit(browser, shop.origin, shop.gateway) for _ in range(VISITS)]
        await browser.close()
    middle = {name: statistics.median(one[name] for one in visits) for name in visits[0]}
    return [
        Figure("launcher visible on a slow phone", middle["visible"], 800, "ms"),
        Figure("blocking time until then", middle["blocking"], 0, "ms"),
        Figure("click to painted panel", middle["click"], 100, "ms"),
        Figure("bytes before it is opened", middle["bytes"], 11_000, "B"),
        Figure("scripts before it is opened", middle["scripts"], 1),
        Figure("other requests before it is opened", middle["others"], 0),
    ]


# --- streams ---


async def open_stream(session: ClientSession, public: str, origin: str) -> Any:
    async with session.post(
        f"{public}/v1/web/bench/sessions", json={}, headers={"Origin": origin}
    ) as response:
        response.raise_for_status()
        token = (await response.json())["token"]
    headers = {"Origin": origin, "Authorization": f"Bearer {token}"}
    stream = await session.get(f"{public}/v1/web/bench/events", headers=headers)
    stream.raise_for_status()
    await stream.content.readline()
    return stream


async def stream_figures(process: Child, shop: Shop, count: int) -> list[Figure]:
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None)) as session:
        (await open_stream(session, shop.gateway, shop.origin)).close()
        before = process.resident()
        streams = [await open_stream(session, shop.gateway, shop.origin) for _ in range(count)]
        grown = (process.resident() - before) * 1024 / count
        begun, at = process.cpu(), time.monotonic()
        await asyncio.sleep(IDLE)
        share = (process.cpu() - begun) / (time.monotonic() - at) * 100
        at = time.monotonic()
        process.process.terminate()
        await asyncio.gather(*(stream.read() for stream in streams), return_exceptions=True)
        ended = time.monotonic() - at
        await process.process.wait()
        left = time.monotonic() - at
    return [
        Figure(f"memory per open stream, {count} idle", grown, 25, "kB"),
        Figure("CPU of one core meanwhile", share, 10, "%"),
        Figure("SIGTERM: until the last stream has ended", ended, 3, "s"),
        Figure("SIGTERM: until the process has", left, 3, "s"),
    ]


async def measure(streams: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        async with sandbox() as box, open_shop() as shop:
            section = {"allowed_origins": [shop.origin], "limits": {"sessions_per_address": "off"}}
            path = configuration(box, Path(name), "bench", {"bench": {"web": section}})
            async with gateway(path, 1) as (process, shop.gateway), ClientSession() as session:
                return [
                    *await sizes(session, shop.gateway),
                    *await page_figures(shop),
                    *await stream_figures(process, shop, streams),
                ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the widget costs a page, and its streams the gateway.")
    parser.add_argument("--streams", type=int, default=2000, help="idle streams to hold open")
    figures = asyncio.run(measure(parser.parse_args().streams))
    print("\n".join(map(str, figures)))
    print(json.dumps({figure.name: round(figure.value, 2) for figure in figures}))
    sys.exit(not all(figure.good for figure in figures))


if __name__ == "__main__":
    main()
