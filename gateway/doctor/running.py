"""What the gateway that runs says of its channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.ports import Finding

_SEVERITIES = {"failed": "error", "degraded": "warning", "paused": "warning"}


def judge(status: Mapping[str, Any]) -> Iterator[Finding]:
    """`status` is the document of `/status.json`."""
    for name, bot in status.get("bots", {}).items():
        for platform, channel in bot.get("platforms", {}).items():
            severity = _SEVERITIES.get(channel["state"])
            if severity is not None:
                what = (
                    f"the running gateway says {channel['state']}: {channel.get('error') or 'by an operator'}"
                )
                path = f"bots.{name}.{platform}"
                yield Finding(severity=severity, what=what, path=path)  # type: ignore[arg-type]
    for problem in status.get("problems", ()):
        yield Finding(severity="error", what=f"the running gateway is not ready: {problem}", path="server")
