"""Simulated days under small budgets: the figures against their targets, and the picture of an hour.

A discrete-event simulation: the real policies, a network whose delays differ, and the server's limiter in three
versions that all judge every request. No clock is read but for the costs. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
import tracemalloc
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway.messages import ConversationKey, Head
from gateway.policy.fairness import Fairness, Pick
from gateway.policy.quota import TRANSIT, Quota

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "discussion" / "quota.svg"
RESERVES = {"shop": "reserve 200", "help": "reserve 100"}
_numbers = count(1)


def head(bot: str, chat: str, now: float, *, direct: bool = True) -> Head:
    seq = next(_numbers)
    key = ConversationKey(bot=bot, platform="telegram", chat=chat)
    return Head(
        id=f"m{seq}",
        seq=seq,
        key=key,
        sender="u",
        kind="ask",
        direct=direct,
        sent_at=now,
        accepted_at=now,
        size=40,
    )


# --- the world ---


class Limiter:
    """The server's count of one limit as sliding log, fixed window and token bucket; `refused` if any says 429."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self.log: deque[float] = deque()
        self.fixed: dict[int, int] = defaultdict(int)
        self.tokens, self.filled_at = float(limit), 0.0
        self.refused = 0

    def arrives(self, at: float) -> None:
        while self.log and self.log[0] < at - self.window:
            self.log.popleft()
        self.log.append(at)
        self.fixed[int(at // self.window)] += 1
        self.tokens = min(self.limit, self.tokens + (at - self.filled_at) * self.limit / self.window) - 1
        self.filled_at = at
        over = len(self.log) > self.limit or self.fixed[int(at // self.window)] > self.limit
        self.refused += over or self.tokens < -1e-9


@dataclass
class Load:
    """One bot: a Poisson stream of messages, some of them in bursts, over a number of conversations."""

    bot: str
    per_hour: float
    conversations: int = 100
    weight: float = 1.0
    reserve: int = 0
    burst: int = 1
    starts: float = 0.0
    ends: float = float("inf")

    def messages(self, dice: random.Random) -> Iterator[tuple[float, str]]:
        at = self.starts
        while True:
            at += dice.expovariate(self.per_hour / self.burst / 3600)
            if at >= self.ends:
                return
            for _ in range(self.burst):
                yield at, f"c{dice.randrange(self.conversations)}"


@dataclass
class Outcome:
    granted: list[tuple[float, str]] = field(default_factory=list)
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    turn_waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of the oldest message of each turn."""
    offered: int = 0
    refused: int = 0
    decisions: int = 0
    used: list[tuple[float, int, int]] = field(default_factory=list)


def simulate(
    loads: list[Load],
    seconds: float,
    *,
    minute: int = 100,
    hour: int = 1000,
    windows: tuple[float, float] = (60.0, 3600.0),
    upstream: Callable[[random.Random], float] = lambda dice: dice.uniform(1, 5),
    seed: int = 1,
) -> Outcome:
    """Let the loads run for some seconds; answers come after `upstream`."""
    dice, out = random.Random(seed), Outcome()
    quota = Quota(requests_per_minute=minute, completions_per_hour=hour, minute=windows[0], hour=windows[1])
    fairness = Fairness()
    limiters = (Limiter(minute, windows[0]), Limiter(hour, windows[1]))
    events: list[tuple[float, int, str, object]] = []
    order = count()
    for load in loads:
        fairness.set_bot(load.bot, weight=load.weight, reserve_per_hour=load.reserve)
        stream = load.messages(random.Random(f"{seed}{load.bot}"))
        if (first := next(stream, None)) is not None:
            heappush(events, (first[0], next(order), "say", (load.bot, first[1], stream)))
    wake = float("inf")
    while events or wake < seconds:
        now = min(events[0][0] if events else wake, wake)
        if now >= seconds:
            break
        while events and events[0][0] <= now:
            _, _, what, thing = heappop(events)
            if what == "say":
                bot, chat, stream = thing  # type: ignore[misc]
                fairness.offer(head(bot, chat, now), now)
                out.offered += 1
                if (following := next(stream, None)) is not None:
                    heappush(events, (following[0], next(order), "say", (bot, following[1], stream)))
            elif what == "arrive":
                for limiter in limiters:
                    limiter.arrives(now)
            else:
                spend, pick = thing  # type: ignore[misc]
                quota.settle(now, spend)
                fairness.finished(pick.key, now)
        while isinstance(answer := fairness.next(now, quota), Pick):
            out.decisions += 1
            spend = f"s{len(out.granted)}"
            quota.take(now, spend, bot=answer.bot)
            fairness.started(answer, now)
            out.granted.append((now, answer.bot))
            out.waits[answer.bot].extend(now - one.accepted_at for one in answer.heads)
            out.turn_waits[answer.bot].append(now - answer.heads[0].accepted_at)
            travel = dice.uniform(0, TRANSIT)
            heappush(events, (now + travel, next(order), "arrive", None))
            heappush(events, (now + max(travel, upstream(dice)), next(order), "answer", (spend, answer)))
        out.decisions += 1
        used = quota.used(now)
        out.used.append((now, used["minute"][0], used["hour"][0]))
        wake = max(answer, now + 1e-6) if answer is not None else float("inf")
    out.refused = sum(limiter.refused for limiter in limiters)
    return out


# --- figures ---


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def jain(counts: list[int]) -> float:
    return sum(counts) ** 2 / (len(counts) * sum(n * n for n in counts))


def utilisation(out: Outcome, start: float, end: float, limit: int, window: float) -> float:
    return sum(start <= at < end for at, _ in out.granted) / (limit * (end - start) / window)


@dataclass
class Row:
    what: str
    figure: str
    target: str = ""
    met: bool = True


def saturated_hour() -> list[Row]:
    """The default limits, everybody always has something to say: the hour binds."""
    loads = [Load(f"b{n:02}", per_hour=400) for n in range(20)]
    out = simulate(loads, 12 * 3600)
    share = utilisation(out, 3600, 12 * 3600, 1000, 3600)
    counts = defaultdict(int)
    for _, bot in out.granted:
        counts[bot] += 1
    fair = jain(list(counts.values()))
    return [
        Row("hour binds, 20 equal bots: utilisation", f"{share:.2%}", ">= 99.5 %", share >= 0.995),
        Row("  Jain index of the equals", f"{fair:.5f}", ">= 0.99", fair >= 0.99),
        Row("  429s of three limiters", str(out.refused), "0", not out.refused),
    ]


def saturated_minute() -> list[Row]:
    loads = [Load(f"b{n:02}", per_hour=600, weight=1 + n % 2) for n in range(20)]
    out = simulate(loads, 2 * 3600, hour=100_000)
    share = utilisation(out, 600, 2 * 3600, 100, 60)
    counts = defaultdict(int)
    for _, bot in out.granted:
        counts[bot] += 1
    fair = jain([n for bot, n in counts.items() if int(bot[1:]) % 2 == 0])
    ratio = sum(n for bot, n in counts.items() if int(bot[1:]) % 2) / len(out.granted) * 3 / 2
    return [
        Row("minute binds, weights 1 and 2: utilisation", f"{share:.2%}", ">= 99.5 %", share >= 0.995),
        Row("  Jain index of the equals", f"{fair:.5f}", ">= 0.99", fair >= 0.99),
        Row("  service of weight 2 against its part", f"{ratio:.4f}", "0.99 - 1.01", 0.99 <= ratio <= 1.01),
        Row("  429s of three limiters", str(out.refused), "0", not out.refused),
    ]


def noisy_day() -> list[Row]:
    """A day of 2,000 bots, a tenth of them in bursts, and one with 1,000 times the others' load."""
    quiet = [Load(f"q{n:04}", per_hour=1.0, conversations=5, burst=1 if n % 10 else 3) for n in range(2000)]
    noisy = Load("noisy", per_hour=1000 * 1.0, conversations=5000, burst=50)
    limits = {"minute": 50, "hour": 100_000}
    day = 24 * 3600
    alone = simulate(quiet, day, **limits)
    started = time.process_time()
    beside = simulate([*quiet, noisy], day, **limits)
    cost = time.process_time() - started
    waits = [w for bot, values in beside.waits.items() if bot != "noisy" for w in values]
    before = [w for values in alone.waits.values() for w in values]
    p95, bound = quantile(waits, 0.95), 1.1 * quantile(before, 0.95) + 60 / 50
    return [
        Row("a day, 2,000 bots and a noisy one: messages", f"{beside.offered:,} in {cost:.1f} s"),
        Row("  quiet p95 wait beside it", f"{p95:.2f} s", f"<= {bound:.2f} s", p95 <= bound),
        Row("  quiet p99 and longest (alone)", _pair(waits) + f" ({_pair(before)})"),
        Row("  429s of three limiters", str(alone.refused + beside.refused), "0", not beside.refused),
    ]


def _pair(waits: list[float]) -> str:
    return f"{quantile(waits, 0.99):.1f} s, {max(waits):.1f} s"


def rush() -> list[Row]:
    """100 requests per 6 s, one bot offers 20 times the rest."""
    quiet = [Load(f"q{n}", per_hour=900, conversations=1000) for n in range(9)]
    noisy = Load("noisy", per_hour=20 * 9 * 900, conversations=1000)
    for load in (*quiet, noisy):
        load.ends = 60.0
    limits = {"minute": 100, "hour": 100_000, "windows": (6.0, 3600.0)}
    out = simulate([*quiet, noisy], 120.0, upstream=lambda _: 0.1, **limits)
    waits = [w for bot, values in out.waits.items() if bot != "noisy" for w in values]
    said = sum(1 for load in quiet for _ in load.messages(random.Random(f"1{load.bot}")))
    p95 = quantile(waits, 0.95)
    return [
        Row(
            "100 per 6 s beside 20 times the load: quiet answered",
            f"{len(waits)} of {said}",
            "all",
            len(waits) == said,
        ),
        Row("  their p95 wait", f"{p95:.2f} s", "<= 1 s", p95 <= 1.0),
        Row("  429s of three limiters", str(out.refused), "0", not out.refused),
    ]


def reserved_hour() -> tuple[list[Row], Outcome]:
    """The picture: the default limits, a noisy bot that wants three times the hour, two with a reserve, one without."""
    loads = [
        Load("noisy", per_hour=3000, conversations=2000, starts=600),
        Load("shop", per_hour=150, reserve=200),
        Load("help", per_hour=60, reserve=100),
        Load("blog", per_hour=40),
    ]
    out = simulate(loads, 2 * 3600)
    waits = [w for bot in ("shop", "help") for w in out.waits[bot]]
    p95 = quantile(waits, 0.95)
    return [
        Row(
            "an hour of the default limits, overrun: p95 with a reserve", f"{p95:.2f} s", "<= 1 s", p95 <= 1.0
        ),
        Row("  p95 without one", f"{quantile(out.waits['blog'], 0.95):.0f} s"),
        Row("  429s of three limiters", str(out.refused), "0", not out.refused),
    ], out


def cost(conversations: int, bots: int, decisions: int = 20_000) -> float:
    """Decisions a second with every rule on: weights, reserves, pacing, groups, answers, and new messages."""
    quota, fairness = Quota(requests_per_minute=1000, completions_per_hour=20_000), Fairness()
    for number in range(bots):
        fairness.set_bot(f"b{number}", weight=1 + number % 3, reserve_per_hour=number % 2)
    for number in range(conversations):
        fairness.offer(head(f"b{number % bots}", f"c{number}", 0.0, direct=number % 2 == 0), 0.0)
    fresh = deque(head(f"b{n % bots}", f"c{n % conversations}", 0.0) for n in range(decisions))
    now, made, grants = 0.0, 0, 0
    gc.collect()
    started = time.process_time()
    while made < decisions:
        made += 1
        answer = fairness.next(now, quota)
        if isinstance(answer, Pick):
            spend = f"s{grants}"
            grants += 1
            quota.take(now, spend, bot=answer.bot)
            fairness.started(answer, now)
            quota.settle(now + 2.0, spend)
            fairness.finished(answer.key, now)
            fairness.offer(fresh.popleft(), now)
            now += 0.0001
        elif answer is not None:
            now = answer
    return decisions / (time.process_time() - started)


def costs() -> list[Row]:
    rows = []
    for size, bots in ((10, 10), (100, 10), (1000, 10), (10_000, 10), (10_000, 1000)):
        rate = max(cost(size, bots) for _ in range(3))
        what = f"decisions a second, {size:,} conversations of {bots:,} bots"
        rows.append(Row(what, f"{rate:,.0f}", ">= 20,000", rate >= 20_000))
    tracemalloc.start()
    fairness = Fairness()
    heads = [head(f"b{n % 1000}", f"c{n % 50_000}", 0.0) for n in range(100_000)]
    own = tracemalloc.get_traced_memory()[0]
    for one in heads:
        fairness.offer(one, 0.0)
    megabytes = (tracemalloc.get_traced_memory()[0] - own) / 1e6
    tracemalloc.stop()
    total = megabytes + own / 1e6
    return [
        *rows,
        Row(
            "100,000 waiting messages: memory (with the heads)",
            f"{megabytes:.0f} MB ({total:.0f} MB)",
        ),
    ]


# --- the picture ---


def draw(out: Outcome, path: Path) -> None:
    """The second hour: budget used above, waits of each bot below."""
    start, width, left = 3600.0, 820, 70
    colours = {"noisy": "#c2410c", "shop": "#1d4ed8", "help": "#0f766e", "blog": "#7c3aed"}

    def x(at: float) -> float:
        return left + (at - start) / 3600 * width

    parts = [_frame(left, width)]
    for index, (limit, colour, top) in enumerate(((1000, "#111827", 40), (100, "#9ca3af", 40))):
        points = [(at, used[1 - index]) for at, *used in out.used if at >= start]
        line = " ".join(f"{x(at):.1f},{top + 120 * (1 - n / limit):.1f}" for at, n in points[::9])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for row, (bot, colour) in enumerate(colours.items()):
        y = 240 + row * 70
        waits = [(at, w) for at, w in _waits(out, bot) if at >= start]
        longest = max((w for _, w in waits), default=0.0)
        note = f"{bot} ({RESERVES.get(bot, 'no reserve')}): {len(waits)} turns, longest wait {longest:.0f} s"
        parts.append(f'<text x="{left}" y="{y - 8}" fill="{colour}">{note}</text>')
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y + 40}" y2="{y + 40}" stroke="#d1d5db"/>')
        tallest = {
            round(x(at)): max(5.0, min(40.0, 40 * w / 3000)) for at, w in sorted(waits, key=lambda p: p[1])
        }
        for place, height in sorted(tallest.items()):
            parts.append(
                f'<line x1="{place}" x2="{place}" y1="{y + 40}" y2="{y + 40 - height:.0f}" stroke="{colour}"/>'
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _frame(left: int, width: int) -> str:
    ticks = "".join(
        f'<text x="{left + width * m / 60:.0f}" y="178" text-anchor="middle" fill="#6b7280">{m} min</text>'
        for m in range(0, 61, 10)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 520" font-family="sans-serif" font-size="13">'
        '<rect width="920" height="520" fill="#fff"/>'
        f'<text x="{left}" y="24">Used of the hour (black, of 1,000) and of the minute (grey, of 100)</text>'
        f'<rect x="{left}" y="40" width="{width}" height="120" fill="none" stroke="#d1d5db"/>{ticks}'
        f'<text x="{left}" y="208" fill="#374151">'
        "Turns by when they were asked; height: how long they had waited (full height: 50 min)</text>"
    )


def _waits(out: Outcome, bot: str) -> Iterator[tuple[float, float]]:
    """(when asked, how long waited) of one bot's messages."""
    times = [at for at, whose in out.granted if whose == bot]
    return zip(times, out.turn_waits[bot], strict=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--no-picture", action="store_true", help="leave docs/discussion/quota.svg as it is")
    asked = options.parse_args()
    rows = [*saturated_hour(), *saturated_minute(), *noisy_day(), *rush()]
    reserved, out = reserved_hour()
    rows += [*reserved, *costs()]
    if not asked.no_picture:
        draw(out, PICTURE)
    for row in rows:
        verdict = "" if not row.target else "ok" if row.met else "MISSED"
        print(f"{row.what:<58} {row.figure:>26}  {row.target:<12} {verdict}")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
