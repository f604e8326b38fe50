"""From files to one tree: the main file, what it includes, variables, secret files, and what bots inherit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path

from gateway.settings.interpolate import interpolate
from gateway.settings.models import Bot, Section, Settings
from gateway.settings.problems import Report, Spot
from gateway.settings.secrets_file import read_secret, secret_path
from gateway.settings.shape import is_named, secrets, section
from gateway.settings.tree import Node, below, parse

CHANNELS = ("telegram", "discord", "web", "webhook")
OVERRIDES = {"LOG_FORMAT": "format", "LOG_LEVEL": "level"}


@dataclass(frozen=True, slots=True)
class Assembled:
    """The whole configuration as one tree, and `defaults` by itself (bots have it merged in already)."""

    root: Node
    defaults: Node | None


def assemble(file: Path, environ: Mapping[str, str], report: Report) -> Assembled | None:
    """Read all files into one tree; None when the main file cannot be read at all."""
    main = _read(file, environ, report)
    if main is None:
        return None
    children = dict(main.children)
    include, defaults = children.pop("include", None), children.pop("defaults", None)
    bots = _bots(children.get("bots"), file)
    if include is not None and include.value is not None:
        bots = _included(bots, include, file, environ, report)
    root = _secret_files(replace(main, value={**children, "bots": bots}), Settings, report)
    if defaults is not None:
        defaults = _secret_files(defaults, Bot, report)
    return Assembled(_inherited(_overridden(root, environ), defaults), defaults)


def _read(file: Path, environ: Mapping[str, str], report: Report) -> Node | None:
    tree = parse(file, report)
    return tree.scalars(lambda node: interpolate(node, environ, report)) if tree else None


def _bots(node: Node | None, file: Path) -> Node:
    """The bots of a file; one without a value is there, too, so that what it lacks is said."""
    if node is None or node.value is None:
        nowhere = Spot(str(file), 1, 1)
        return Node({}, "bots", nowhere, nowhere)
    if not isinstance(node.value, dict):
        return node
    named = {
        name: replace(bot, value={} if bot.value is None else bot.value) for name, bot in node.value.items()
    }
    return replace(node, value=named)


# --- include --------------------------------------------------------------------------------------------------


def _included(bots: Node, include: Node, file: Path, environ: Mapping[str, str], report: Report) -> Node:
    if not isinstance(include.value, list):
        report.problem(include.at, include.path, "must be a list of files")
    for entry in include.items:
        for found in _matches(entry, file, report):
            bots = _joined(bots, _only_bots(found, environ, report), report)
    return bots


def _matches(entry: Node, file: Path, report: Report) -> list[Path]:
    """Files that an entry names and that were not read yet, in the order of their names."""
    if not entry.text:
        report.problem(entry.at, entry.path, "must be the name of a file, or a pattern like bots.d/*.yaml")
        return []
    if has_magic(entry.text):
        report.beside.append((file.parent / entry.text).parent)
    names = sorted(glob(entry.text, root_dir=file.parent, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not names and has_magic(entry.text):
        report.warnings.append(f"{entry.at}: {entry.path}: matches no file")
    elif not names:
        report.problem(entry.at, entry.path, "there is no such file")
    known = {path.resolve() for path in report.files}
    return [found for name in names if (found := file.parent / name).resolve() not in known]


def _only_bots(file: Path, environ: Mapping[str, str], report: Report) -> Node:
    tree = _read(file, environ, report)
    for name, node in tree.children.items() if tree else ():
        if name != "bots":
            report.problem(node.key_at, node.path, "may not stand here: an included file has only bots")
    return _bots(tree.get("bots") if tree else None, file)


def _joined(bots: Node, more: Node, report: Report) -> Node:
    for name, bot in more.children.items():
        if (known := bots.children.get(name)) is not None:
            report.problem(bot.key_at, bot.path, f"is there twice (first in {known.key_at})")
    if not isinstance(more.value, dict):
        report.problem(more.at, more.path, "must be a mapping (key: value)")
    new = {name: bot for name, bot in more.children.items() if name not in bots.children}
    return bots.with_children(**new) if new and isinstance(bots.value, dict) else bots


# --- secret files ---------------------------------------------------------------------------------------------


def _secret_files(node: Node, model: type[Section], report: Report) -> Node:
    """Put what is in `x_file` in the place of `x`, here and in the sections below."""
    children = dict(node.children)
    for key in secrets(model):
        name = f"{key}_file"
        if (source := children.pop(name, None)) is None or source.value is None:
            continue
        if (direct := children.get(key)) is not None and direct.value is not None:
            report.problem(source.key_at, source.path, f"stands beside {key}; one of them has to go")
        else:
            children[key] = _secret(source, report)
    for key, field in model.model_fields.items():
        inner = section(field.annotation)
        if inner is None or (child := children.get(key)) is None:
            continue
        if is_named(field.annotation):
            named = {name: _secret_files(entry, inner, report) for name, entry in child.children.items()}
            children[key] = child.with_children(**named) if named else child
        else:
            children[key] = _secret_files(child, inner, report)
    return replace(node, value=children) if isinstance(node.value, dict) else node


def _secret(source: Node, report: Report) -> Node:
    """Read a secret, or each of a list of them."""
    if source.items:
        return replace(source, value=[_secret(item, report) for item in source.items])
    report.beside.append(secret_path(source.text or ""))
    try:
        text = read_secret(source.text or "")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        report.problem(source.at, source.path, f"the file cannot be read ({reason})")
        return source
    if not text:
        report.problem(source.at, source.path, "the file is empty")
    return replace(source, value=text)


# --- what is inherited ----------------------------------------------------------------------------------------


def _overridden(root: Node, environ: Mapping[str, str]) -> Node:
    """Let LOG_FORMAT and LOG_LEVEL win over `log`."""
    here = root.get("log")
    if here is not None and not isinstance(here.value, dict | None):
        return root
    children = dict(here.children) if here else {}
    for variable, key in OVERRIDES.items():
        if text := environ.get(variable):
            spot = Spot(f"environment variable {variable}")
            children[key] = Node(text.strip().lower(), f"log.{key}", spot, spot)
    return root.with_children(log=Node(children, "log", root.at, root.key_at)) if children else root


def _inherited(root: Node, defaults: Node | None) -> Node:
    """Merge `defaults` into each bot, and give those without an organisation the only one there is."""
    bots = root.get("bots")
    organizations = root.get("organizations")
    names = list(organizations.children) if organizations else []
    if bots is None or not isinstance(bots.value, dict):
        return root
    whole = {}
    for name, bot in bots.value.items():
        full = _merged(_fitting(defaults, bot), bot) if defaults else bot
        lacks = isinstance(full.value, dict) and full.get("organization") is None
        if len(names) == 1 and lacks:
            only = Node(names[0], below(bot.path, "organization"), bot.at, bot.key_at)
            full = full.with_children(organization=only)
        whole[name] = full
    return root.with_children(bots=replace(bots, value=whole))


def _fitting(defaults: Node, bot: Node) -> Node:
    """The defaults less the channels that the bot does not have: they never add a channel."""
    has = {name for name in CHANNELS if (node := bot.get(name)) is not None and node.value is not None}
    absent = set(CHANNELS) - has
    return replace(defaults, value={k: v for k, v in defaults.children.items() if k not in absent})


def _merged(base: Node, over: Node) -> Node:
    """Deep merge: mappings are joined, all else (lists too) is replaced."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    joined = {
        key: _merged(base.value[key], child) if key in base.value else child
        for key, child in over.value.items()
    }
    return replace(over, value={**base.value, **joined})
