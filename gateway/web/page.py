"""The status page: the document of `/status.json` for people, complete without JavaScript, live with a little of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.web.analytics import overview
from gateway.web.figures import Counts
from gateway.web.picture import hour_bars
from gateway.web.recent import Recent
from gateway.web.template import Templates, asset

WINDOWS = {"minute": "minute", "hour": "hour"}
TROUBLE = {"failed", "degraded"}


def page_routes(
    status: Callable[[], Awaitable[dict[str, Any]]],
    recent: Recent,
    now: Callable[[], float],
    counts: Counts | None = None,
) -> list[web.RouteDef]:
    """`/status` and the pages' files. `status` is the document of `/status.json`; `counts` has Sensay's figures."""
    templates = Templates()

    async def page(_: web.Request) -> web.Response:
        document = await status()
        view = board(document, recent, now())
        view["analytics"] = overview(counts, document["bots"], now)
        return templates.answer("status", view)

    return [web.get("/status", page), web.get("/status/{name}", asset)]


def board(document: Mapping[str, Any], recent: Recent, now: float) -> dict[str, Any]:
    """What the template shows, in words."""
    bots = [_bot(name, bot, recent, now) for name, bot in document["bots"].items()]
    answered = sum(minute.answered for name in document["bots"] for minute in recent.hour(name, now))
    ages = [bot["queue"]["oldest_age"] or 0.0 for bot in document["bots"].values()]
    channels = [channel for bot in bots for channel in bot["channels"]]
    bots.sort(key=lambda bot: (not bot["trouble"], bot["name"]))
    return {
        "now": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "version": document["version"],
        "ready": document["ready"],
        "problems": "; ".join(document.get("problems", ())),
        "uptime": span(now - _at(document["started_at"])),
        "channels_all": len(channels),
        "channels_running": sum(channel["state"] == "running" for channel in channels),
        "troubled": sum(channel["state"] in TROUBLE for channel in channels),
        "attention": _attention(document, now),
        "answered": f"{answered:,}",
        "per_minute": f"{answered / 60:.1f}" if answered else "",
        "waiting": sum(bot["waiting"] for bot in bots),
        "oldest": span(max(ages)) if any(ages) else None,
        "dead_letters": sum(bot.get("dead_letters", 0) for bot in document["bots"].values()),
        "organizations": [
            _organization(name, entry, now) for name, entry in document["organizations"].items()
        ],
        "bots": bots,
        "paused": [_paused(one, now) for one in document.get("paused_conversations", ())],
    }


def _attention(document: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """Channels in trouble, the longest first, what needs a person before what works on itself."""
    found = [
        {"bot": name, "platform": platform, **channel}
        for name, bot in document["bots"].items()
        for platform, channel in bot["platforms"].items()
        if channel["state"] in TROUBLE
    ]
    found.sort(key=lambda item: (item["state"] != "failed", item["since"] or ""))
    return [{**item, "since": _for(item["since"], now)} for item in found]


def _paused(one: Mapping[str, Any], now: float) -> dict[str, str]:
    until = one["until"]
    words = "until it is given back" if until is None else f"comes back in {span(_at(until) - now)}"
    return {"conversation": one["conversation"], "until": words}


def _for(since: str | None, now: float) -> str | None:
    return None if since is None else span(now - _at(since))


def _at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def _organization(name: str, entry: Mapping[str, Any], now: float) -> dict[str, Any]:
    quota = entry["quota"]
    windows = [{"label": label, **quota[window]} for window, label in WINDOWS.items() if window in quota]
    relief = entry.get("relief", 0.0)
    return {
        "name": name,
        "windows": windows,
        "waiting": entry["waiting"],
        "error": entry.get("error"),
        "relief": "room for the next answer now"
        if relief <= 0
        else f"room again in {span(relief)}, at {_clock(now + relief)}",
    }


def _bot(name: str, bot: Mapping[str, Any], recent: Recent, now: float) -> dict[str, Any]:
    channels = [
        {"platform": platform, "state": channel["state"], "error": channel["error"]}
        for platform, channel in bot["platforms"].items()
    ]
    queue, turns = bot["queue"], bot["turns"]
    return {
        "name": name,
        "replica": bot["replica"],
        "channels": channels,
        "trouble": any(channel["state"] in TROUBLE for channel in channels),
        "heard": _ago(bot, "last_event_at", now),
        "replied": _ago(bot, "last_reply_at", now),
        "waiting": queue["waiting"],
        "oldest": None if queue["oldest_age"] is None else span(queue["oldest_age"]),
        "p50": _seconds(recent.percentile(name, 0.5)),
        "p95": _seconds(recent.percentile(name, 0.95)),
        **turns,
        "answered": f"{turns['answered']:,}",
        "dead_letters": bot.get("dead_letters", 0),
        "hour": hour_bars(recent.hour(name, now)),
    }


def _ago(bot: Mapping[str, Any], what: str, now: float) -> str:
    times = [channel[what] for channel in bot["platforms"].values() if channel[what]]
    if not times:
        return "never"
    seconds = now - max(map(_at, times))
    return "now" if seconds < 1 else f"{span(seconds)} ago"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s" if value < 100 else span(value)


def span(seconds: float) -> str:
    """A duration as people say it: 5 s, 3 min, 2 h 10 min, 4 d."""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        minutes = whole % 3600 // 60
        return f"{whole // 3600} h" + (f" {minutes} min" if minutes else "")
    return f"{whole // 86_400} d"
