"""An earlier revision beside this tree: `make bench-compare REV=v0.1.0`, or `python bench/compare.py REV [RUN …]`.

Both gateways meet the same peer, turn by turn in one run; what is measured is `throughput.py`'s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from throughput import ROOT, RUNS, Json, machine, table


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A tree of its own for the revision, gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", tree, revision], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def measured(tree: Path, run: str) -> Json:
    with tempfile.NamedTemporaryFile(suffix=".json") as found:
        subprocess.run(
            [sys.executable, ROOT / "bench/throughput.py", run, "--design", "gateway", "--json", found.name],
            env={**os.environ, "BENCH_TREE": str(tree)}, cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        results: Json = json.loads(Path(found.name).read_text())["results"]["gateway"]
        return results


def main() -> None:
    parser = argparse.ArgumentParser(description="An earlier revision beside this tree.")
    parser.add_argument("revision")
    parser.add_argument("runs", nargs="*", default=list(RUNS), metavar="|".join(RUNS))
    given = parser.parse_args()
    results: Json = {given.revision: {}, "this tree": {}}
    with checked_out(given.revision) as tree:
        for run in given.runs:
            for name, where in zip(results, (tree, ROOT), strict=True):
                results[name] |= measured(where, run)
    print(", ".join(f"{name} {value}" for name, value in machine().items()) + "\n\n" + table(results))


if __name__ == "__main__":
    main()
