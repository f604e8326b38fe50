"""The tree is what its documents say, and its import contracts hold."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("gateway", "adapters")
LINTER = Path(sys.executable).parent / "lint-imports"


# --- imports ---


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The two packages, to be spoilt."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint(tree: Path) -> tuple[int, str]:
    done = subprocess.run(
        [LINTER, "--no-cache", "--config", tree / "pyproject.toml"],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


PLANTED = {
    "Decisions are pure": ("gateway/policy/quota.py", "asyncio"),
    "Layers of the gateway": ("gateway/journal/tx.py", "gateway.pipeline.bell"),
    "Only app imports adapters": ("gateway/pipeline/bell.py", "adapters.tree"),
    "The sandbox stands alone": ("gateway/sandbox/faults.py", "gateway.messages"),
    "OpenTelemetry enters through gateway.telemetry": ("gateway/board.py", "opentelemetry"),
    "redis-py enters through gateway.journal": ("gateway/supervisor.py", "redis"),
    "httpx enters through gateway.sensay": ("gateway/pipeline/answer.py", "httpx"),
    "python-telegram-bot and discord.py enter through their adapters": ("gateway/supervisor.py", "telegram"),
    "Platforms do not know each other": ("adapters/web/render.py", "adapters.webhook.render"),
    "Adapters see only the contracts": ("adapters/telegram/convert.py", "gateway.policy.access"),
}
"""For each contract a module, and an import that breaks it."""


def test_the_import_contracts_hold(copy: Path):
    code, said = lint(copy)

    assert code == 0, said
    assert set(PLANTED) == set(re.findall(r"^(.+) KEPT$", said, re.MULTILINE)), "each has its violation below"


def test_every_contract_is_broken_by_a_planted_violation(copy: Path):
    for module, imported in PLANTED.values():
        path = copy / module
        path.write_text(f"{path.read_text()}\nimport {imported}  # planted\n")
    code, said = lint(copy)

    assert code == 1, said
    assert set(PLANTED) == set(re.findall(r"^(.+) BROKEN$", said, re.MULTILINE))


# --- the map ---


def drawn() -> list[str]:
    """The paths at the beginning of lines of the fenced blocks in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.split(maxsplit=1)[0] for block in blocks for line in block.splitlines() if line.strip()]
    return [line for line in lines if line.partition("/")[0] in PACKAGES]


def modules() -> set[str]:
    """Every module, and every package as its folder."""
    found = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    return {
        f"{path.parent}/" if path.name == "__init__.py" and len(path.parts) > 2 else str(path)
        for path in found
    }


def test_the_map_names_nothing_that_is_not_there():
    places = drawn()

    assert len(places) > 20, "there is a map"
    assert [place for place in places if not (ROOT / place).exists()] == []
    assert [place for place in places if place.endswith("/") != (ROOT / place).is_dir()] == []
    assert len(places) == len(set(places))


def test_the_map_names_every_module_or_its_package():
    places = set(drawn())
    missing = [
        module
        for module in sorted(modules() - places)
        if not any(module.startswith(place) for place in places if place.endswith("/"))
    ]

    assert missing == []


def test_the_map_names_every_package_of_the_first_level():
    folders = {
        f"{path.parent.relative_to(ROOT)}/"
        for package in PACKAGES
        for path in (ROOT / package).glob("*/__init__.py")
    }

    assert folders - set(drawn()) == set()


# --- what no file may hold ---

HOSTS = {  # in pieces, or this file would hold what it forbids
    "org": ("pypi", "python" + "hosted", "npmjs", "rubygems", "proxy.golang"),
    "com": ("npmjs", "yarnpkg"),
    "io": ("crates", "ghcr", "quay", "gcr", "registry.k8s", "docker", "jfrog"),
}
REGISTRIES = "|".join(
    [re.escape(f"{name}.{end}") for end, names in HOSTS.items() for name in names]
    + ["--(extra-)?index-url[ =]"]
)
MACHINE_PATHS = r"(?<![\w.~:}/$-])/(home|Users|root|work|mnt|media|private)/"
SKIPPED = {".png", ".ico", ".woff2", ".gz"}


def project_files() -> list[Path]:
    """What git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and file.suffix not in SKIPPED]


@pytest.mark.parametrize("forbidden", [REGISTRIES, MACHINE_PATHS], ids=["registry hosts", "machine paths"])
def test_no_file_names_a_place_that_only_some_machines_have(forbidden: str):
    pattern, this = re.compile(forbidden), Path(__file__)
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in project_files()
        if file != this
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRIES, "index = https://pypi" + ".org/simple"),
        (REGISTRIES, "FROM ghcr" + ".io/acme/gateway"),
        (MACHINE_PATHS, "see /ho" + "me/ann/notes"),
        (MACHINE_PATHS, '"/Us' + 'ers/ann/x"'),
    ],
)
def test_such_a_place_would_be_found(pattern: str, line: str):
    assert re.search(pattern, line)


@pytest.mark.parametrize(
    "line", ["https://shop.example/home/start", "COPY . ./work/", "sqlite:////data/x.db", "~/work/x"]
)
def test_an_ordinary_path_is_no_such_place(line: str):
    assert not re.search(MACHINE_PATHS, line)


# --- habits ---


def test_no_test_folder_hides_an_sdk():
    """A folder of modules named like one shadows it when tests run."""
    folders = {path.parent.name for path in (ROOT / "tests").rglob("*.py")}

    assert folders.isdisjoint({"telegram", "discord", "httpx", "aiohttp"})


def test_a_process_without_a_platform_never_loads_its_library():
    code = (
        "import sys, gateway.app, gateway.cli;"
        "print([name for name in ('telegram', 'discord', 'adapters.telegram') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"
