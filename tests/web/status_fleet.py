"""A busy fleet with all kinds of trouble, as the status page shows it; run it to make the pictures of the docs.

`python -m tests.web.status_fleet docs/images`
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from gateway.ports import DeliveryEnded, TurnEnded
from gateway.web.page import page_routes
from gateway.web.recent import Recent
from gateway.web.server import Listener
from tests.web.web_shop import ARGUMENTS, CHROMIUM

NOW = datetime(2026, 11, 20, 3, 12, 40, tzinfo=UTC).timestamp()
PRIVACY = "Telegram rejects the bot token: make a new one with @BotFather and set telegram.token"
CONFLICT = "another process polls this token (or sets a webhook for it): stop it, or use another bot"
INTENT = "the Message Content intent is off: turn it on in the Developer Portal, page Bot"
BOTS: dict[str, tuple[dict[str, tuple[str, str | None]], float]] = {
    "aurora-support": ({"telegram": ("running", None), "web": ("running", None)}, 9.0),
    "aurora-sales": ({"web": ("running", None), "webhook": ("running", None)}, 4.0),
    "bean-and-leaf": ({"telegram": ("running", None), "discord": ("running", None)}, 6.0),
    "city-library": ({"telegram": ("running", None)}, 2.5),
    "dev-portal": ({"discord": ("failed", INTENT), "web": ("running", None)}, 3.0),
    "fjord-tours": ({"telegram": ("running", None), "web": ("running", None)}, 7.0),
    "game-night": ({"discord": ("running", None)}, 11.0),
    "harbour-clinic": ({"web": ("paused", None)}, 1.0),
    "iris-florist": ({"telegram": ("degraded", CONFLICT)}, 0.6),
    "jazz-festival": ({"telegram": ("running", None), "discord": ("running", None)}, 5.0),
    "kite-school": ({"telegram": ("failed", PRIVACY)}, 0.0),
    "lumen-energy": ({"telegram": ("running", None), "webhook": ("running", None)}, 8.0),
    "museum-guide": ({"telegram": ("running", None), "web": ("running", None)}, 3.0),
    "north-bank": ({"web": ("running", None)}, 2.0),
}


def at(seconds: float) -> str:
    """So long before now."""
    return datetime.fromtimestamp(NOW - seconds, UTC).isoformat()


def document() -> dict[str, Any]:
    """As `/status.json` has it."""
    draw = random.Random(7)
    bots = {}
    for name, (channels, pace) in BOTS.items():
        waiting = 14 if name == "game-night" else 3 if name == "harbour-clinic" else 0
        failed = 2 if name == "iris-florist" else 0
        bots[name] = {
            "replica": f"{draw.getrandbits(32):08x}-7c1e-4d55-9b1f-{draw.getrandbits(48):012x}",
            "platforms": {
                platform: {
                    "state": state,
                    "since": at(draw.uniform(300, 9000)),
                    "last_event_at": at(2.0 + 90 * draw.random() if state != "failed" else 5400),
                    "last_reply_at": at(20 + 400 * draw.random()) if pace else None,
                    "error": error,
                }
                for platform, (state, error) in channels.items()
            },
            "queue": {"waiting": waiting, "oldest_age": 31.0 if waiting else None},
            "context": {"dropped": 0},
            "dead_letters": failed,
            "turns": {"answered": int(pace * 271 * 9), "failed": failed, "expired": 1 if pace > 10 else 0},
        }
    return {
        "version": "0.1.0",
        "started_at": (datetime.fromtimestamp(NOW, UTC) - timedelta(days=12, hours=5)).isoformat(),
        "ready": True,
        "problems": [],
        "organizations": {
            "aurora": {"quota": _quota(62, 711), "waiting": 0, "relief": 0.0, "error": None},
            "harbour": {"quota": _quota(18, 204), "waiting": 3, "relief": 0.0, "error": None},
            "meridian": {"quota": _quota(97, 988), "waiting": 14, "relief": 22.0, "error": None},
        },
        "bots": bots,
        "paused_conversations": [
            {"conversation": "fjord-tours/telegram/-1001874", "until": at(-1700)},
            {"conversation": "aurora-support/web/9f31c2", "until": None},
        ],
    }


def _quota(minute: int, hour: int) -> dict[str, Any]:
    return {"minute": {"limit": 100, "used": minute}, "hour": {"limit": 1000, "used": hour}}


def recent() -> Recent:
    """An hour in which every bot answered at its own pace."""
    draw, seen = random.Random(3), Recent()
    for name, (_, pace) in BOTS.items():
        for minute in range(60):
            for number in range(draw.randint(0, max(0, round(0.9 * pace)))):
                _answer(seen, name, NOW - 60 * (59 - minute), f"{name}-{minute}-{number}", draw)
    return seen


def _answer(seen: Recent, name: str, ended: float, turn: str, draw: random.Random) -> None:
    took = draw.lognormvariate(0.75, 0.45)
    outcome = "failed" if name == "iris-florist" and draw.random() < 0.2 else "answered"
    facts = {"bot": name, "platform": "telegram", "conversation": "c"}
    seen(
        TurnEnded(
            organization="aurora",
            turn=turn,
            outcome=outcome,
            accepted_at=ended - took,
            ended_at=ended,
            parts=1,
            **facts,
        )
    )
    seen(DeliveryEnded(outcome="sent", delivery=turn, owner=turn, at=ended, last=True, **facts))


async def listening(shown: dict[str, Any] | None = None) -> Listener:
    """The page on a free port."""

    async def status() -> dict[str, Any]:
        return shown or document()

    listener = Listener("127.0.0.1", 0, page_routes(status, recent(), lambda: NOW))
    await listener.start()
    return listener


PICTURES: dict[str, dict[str, Any]] = {
    "status-light": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "light"},
    "status-dark": {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"},
    "status-phone": {"viewport": {"width": 390, "height": 1900}, "color_scheme": "light"},
}


async def _pictures(folder: Path) -> None:
    listener = await listening()
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, how in PICTURES.items():
            page = await browser.new_page(**how)
            await page.goto(f"http://127.0.0.1:{listener.port}/status")
            await page.screenshot(path=folder / f"{name}.png", full_page="phone" not in name)
        await browser.close()
    await listener.stop()


if __name__ == "__main__":
    asyncio.run(_pictures(Path(sys.argv[1])))
