"""JSON Schema of the configuration as it is written, for editors (`config/schema.json`).

Wider than the models: secrets may come from files, keys of a bot from `defaults`, any scalar from a variable.
What a schema cannot say (rules between keys, unset variables) `load` says.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from gateway.settings.models import Organization, Section, Settings
from gateway.settings.shape import secrets

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_FILE = {
    "description": "File with the secret, relative to the working directory; a list for a list of secrets.",
    "type": ["string", "array"],
    "items": {"type": "string"},
}


def schema() -> dict[str, Any]:
    """The schema, as plain JSON values."""
    made = Settings.model_json_schema(schema_generator=_Plain)
    for name, definition in made["$defs"].items():
        _with_files(definition, _SECTIONS[name])
    made["properties"] |= {
        "include": {
            "description": "Files with more bots, relative to this one; patterns are fine.",
            "type": "array",
            "items": {"type": "string"},
        },
        "defaults": {
            "description": "Merged into every bot (deep, lists replaced); a channel only into bots that have it.",
            "$ref": "#/$defs/Bot",
        },
    }
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {**_lenient(made), "$schema": dialect, "title": "Sensay Gateway"}


def schema_text() -> str:
    """The schema as it stands in `config/schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


class _Plain(GenerateJsonSchema):
    """Without the titles that pydantic makes up."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return False


def _sections(model: type[Section]) -> dict[str, type[Section]]:
    found = {model.__name__: model}
    for inner in model.__subclasses__():
        found |= _sections(inner)
    return found


_SECTIONS = _sections(Section)


def _with_files(definition: dict[str, Any], model: type[Section]) -> None:
    """Let each secret come from a file, and ask for keys only where they cannot be inherited."""
    names = secrets(model)
    for name in names:
        definition["properties"][f"{name}_file"] = _FILE
    if definition.pop("required", None) and model is Organization:
        definition["anyOf"] = [{"required": [key]} for name in names for key in (name, f"{name}_file")]


def _lenient(node: Any) -> Any:
    """Accept `${…}` wherever a number, a switch or a word is expected, and `false` for `off`."""
    if isinstance(node, list):
        return [_lenient(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {key: value for key, value in node.items() if key != "default"}
    words = node.get("enum", [])
    if "off" in words and False not in words:
        node = {**node, "enum": [*words, False, *([True] if "on" in words else [])]}
        node.pop("type", None)
    if "enum" in node or "const" in node or node.get("type") in ("integer", "number", "boolean"):
        outer = {key: node[key] for key in ("description", "default") if key in node}
        inner = {key: value for key, value in node.items() if key not in outer}
        return {**outer, "anyOf": [inner, _VARIABLE]}
    return {key: _lenient(inner) for key, inner in node.items()}
