"""Runs inside the container: it has just the rights that it should have."""

import os
from pathlib import Path

status = dict(
    line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
)


def refused(path: str) -> bool:
    """Whether nothing can be written there."""
    try:
        Path(path, "probe").write_text("x")
    except OSError:
        return True
    return False


assert (os.getuid(), os.getgid()) == (10001, 10001), (os.getuid(), os.getgid())
assert int(status["CapEff"], 16) == 0, status["CapEff"]
assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status
assert [refused(path) for path in ("/app", "/etc", "/opt/venv", "/tmp", "/data")] == [
    True,
    True,
    True,
    False,
    False,
]
print("uid 10001, no capabilities, no new privileges, seccomp on; only /tmp and /data can be written")
