"""A gateway beside the pretended Sensay, for its pages of conversations; run it to make the pictures of the docs.

`python -m tests.web.talks_gateway docs/images`
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from playwright.async_api import Browser, Page, async_playwright

from gateway.app import Gateway
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import CAFE, SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.settings.models import Settings
from tests.web.web_shop import ARGUMENTS, CHROMIUM

TOKEN = "a-token-for-operators"
SECRET = "acme-secret"
BOTS = {"support": SUPPORT, "cafe": CAFE, "lost": "99999999-1234-1234-1234-123456789abc"}
HALL = {"channel_id": "71", "channel_name": "Town hall", "author_id": "7", "message_id": "1"}


@dataclass(frozen=True)
class Office:
    """The gateway's admin port, with the world behind it. `bot` is the address of the bot `support`."""

    box: Sandbox
    gateway: Gateway

    @property
    def url(self) -> str:
        assert self.gateway.admin is not None
        return f"http://127.0.0.1:{self.gateway.admin.port}"

    @property
    def bot(self) -> str:
        return f"{self.url}/status/bots/support"

    @property
    def asked(self) -> list[str]:
        """Paths of what Sensay was asked about conversations and analytics."""
        return [one.path for one in self.box.sensay.requests if "/conversations" in one.path]

    def fault(self, operation: str, kind: Any, **how: Any) -> None:
        self.box.faults.add(Fault("sensay", operation, kind, **how))

    async def say(self, text: str, *, answered: bool, who: str = "Zoe") -> None:
        """Somebody says something in a group of its own, now."""
        path = "completions" if answered else "history"
        body = {"content": text, "source": "discord", "discord_data": {**HALL, "author_name": who}}
        headers = {"X-ORGANIZATION-SECRET": SECRET}
        url = f"{self.box.url}/v1/replicas/{SUPPORT}/chat/{path}"
        async with ClientSession(headers=headers) as http, http.post(url, json=body) as answer:
            assert answer.status == 200, await answer.text()


@asynccontextmanager
async def office(*, token: str | None = None, **quota: Any) -> AsyncIterator[Office]:
    unlimited = SensaySandbox(requests_per_minute=None, completions_per_hour=None)
    async with Sandbox(sensay=unlimited) as box:
        gateway = Gateway(
            Settings.model_validate(
                {
                    "server": {
                        "public": {"host": "127.0.0.1", "port": 0},
                        "admin": {"host": "127.0.0.1", "port": 0, "token": token},
                    },
                    "journal": "memory:",
                    "shutdown_grace": "0s",
                    "sensay": {"base_url": box.url, "timeout": "5s"},
                    "organizations": {"acme": {"secret": SECRET, "quota": quota}},
                    "bots": {
                        name: {"organization": "acme", "replica": replica, "enabled": False}
                        for name, replica in BOTS.items()
                    },
                }
            )
        )
        await gateway.start()
        try:
            yield Office(box, gateway)
        finally:
            await gateway.close()


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


SHAPES: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1160, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1160, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


async def group_talk(page: Page, bot: str) -> str:
    """The address of a group's conversation with something left out."""
    await page.goto(f"{bot}/conversations?sort=replies")
    href = await page.locator(".talks li", has_text="group").first.locator("a").get_attribute("href")
    assert href is not None
    return href


async def _pictures(folder: Path) -> None:
    async with office() as made, browsing() as browser:
        for name, how in SHAPES.items():
            page = await browser.new_page(**how)
            talk = await group_talk(page, made.bot)
            await page.goto(f"{made.bot}/conversations")
            await page.screenshot(path=folder / f"conversations-{name}.png")
            await page.goto(made.url + talk)
            await page.locator(".gap a").last.click()
            await page.locator(".opened").first.wait_for()
            await page.screenshot(path=folder / f"conversation-{name}.png")
            await page.goto(made.bot)
            await page.locator(".chart").first.wait_for()
            await page.screenshot(path=folder / f"analytics-{name}.png", full_page=True)
            await page.goto(f"{made.url}/status")
            await page.screenshot(path=folder / f"status-analytics-{name}.png", full_page=True)
            await page.close()


if __name__ == "__main__":
    asyncio.run(_pictures(Path(sys.argv[1])))
