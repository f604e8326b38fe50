"""docs/webhook.md says what is so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from adapters.webhook import callback
from adapters.webhook.convert import MAX_WAIT
from gateway.policy.retry import CHANNEL_PAUSE, PUBLISHED
from gateway.settings.values import duration
from tests.web.webhook_host import OTHER_SECRET, SECRET

TEXT = (Path(__file__).parents[2] / "docs/webhook.md").read_text()
PROSE = " ".join(TEXT.split())
NODE = shutil.which("node")


def block(language: str) -> str:
    """The only code block in this language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return code


def test_the_schedule_that_is_published_is_the_one_in_force():
    (row,) = re.findall(r"^\| after the one before \| at once \| (.+) \|$", TEXT, re.MULTILINE)
    waits = tuple(duration(cell.replace(" min", "m").replace(" ", "")) for cell in row.split(" | "))

    assert PUBLISHED.waits == waits
    assert PUBLISHED.spread == (1.0, 1.1)


def test_the_numbers_are_those_of_the_program():
    assert f"({MAX_WAIT} at most" in PROSE
    assert f"2xx within {callback.TIMEOUT:.0f} seconds" in PROSE
    assert f"left alone for {CHANNEL_PAUSE:.0f} seconds" in PROSE
    assert callback.LONGEST_PAUSE == 3600
    assert all(str(status) in PROSE for status in callback.UNDER_LOAD | {callback.GONE})


def test_ids_are_to_be_kept_for_as_long_as_a_callback_may_come_again():
    most = sum(PUBLISHED.waits) * PUBLISHED.spread[1]

    assert "ids that you have seen for four days" in PROSE
    assert 3 * 86_400 < most < 4 * 86_400


BODY = b'{"type": "message.created", "data": {"text": "Gr\xc3\xbc\xc3\x9fe"}}'


def signed(**changes: str) -> dict[str, str]:
    at = datetime.now(UTC)
    headers = {
        "webhook-id": "t1.answer.0",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": "v1,AAAA " + Webhook(SECRET).sign("t1.answer.0", at, BODY.decode()),
    }
    return {**headers, **changes}


def cases() -> list[tuple[dict[str, str], str, bool]]:
    """(headers, secret, good), signed now: a signature is good for five minutes."""
    return [
        (signed(), SECRET, True),
        (signed(), OTHER_SECRET, False),
        (signed(**{"webhook-id": "t2.answer.0"}), SECRET, False),
        (signed(**{"webhook-timestamp": str(int(time.time()) - 301)}), SECRET, False),
        (signed(**{"webhook-timestamp": "soon"}), SECRET, False),
        ({}, SECRET, False),
    ]


def test_the_python_snippet_verifies():
    names: dict = {}
    exec(block("python"), names)
    made = cases()

    assert [names["verify"](secret, headers, BODY) for headers, secret, _ in made] == [
        good for *_, good in made
    ]


@pytest.mark.skipif(NODE is None, reason="*** no node here: the JavaScript snippet is not tested ***")
def test_the_javascript_snippet_verifies(tmp_path: Path):
    made = cases()
    calls = [f"verify({json.dumps(secret)}, {json.dumps(headers)}, body)" for headers, secret, _ in made]
    program = f"""{block("javascript")}
const body = Buffer.from({json.dumps(BODY.decode())});
console.log(JSON.stringify([{", ".join(calls)}]));
"""
    (tmp_path / "snippet.mjs").write_text(program)

    done = subprocess.run(
        [NODE, tmp_path / "snippet.mjs"], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [good for *_, good in made]
