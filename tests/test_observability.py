from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gateway.telemetry import Metrics

DOCS = Path(__file__).parents[1] / "docs" / "observability"
NAME = re.compile(r"\bgateway_[a-z_]+")


def known() -> set[str]:
    """Every name that the exposition may carry, samples of histograms included."""
    names: set[str] = set()
    for family in Metrics().registry.collect():
        names.add(family.name)
        suffixes = {
            "counter": ("_total",),
            "histogram": ("_bucket", "_sum", "_count"),
        }
        names.update(family.name + suffix for suffix in suffixes.get(family.type, ()))
    return names


def rules() -> list[dict]:
    document = YAML(typ="safe").load((DOCS / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_exist_and_names_its_runbook(rule):
    headings = set(re.findall(r"^## (\S+)$", (DOCS / "runbook.md").read_text(), re.MULTILINE))

    assert set(NAME.findall(rule["expr"])) <= known()
    assert rule["annotations"]["runbook"] in headings
    assert rule["labels"]["severity"] in {"page", "warn"}


def test_the_dashboard_asks_for_metrics_that_exist():
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]

    assert expressions
    assert {name for expression in expressions for name in NAME.findall(expression)} <= known()


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed: syntax not checked by it"
)
def test_promtool_accepts_the_rules():
    answer = subprocess.run(
        ["promtool", "check", "rules", str(DOCS / "alerts.yaml")], capture_output=True, text=True, check=False
    )

    assert 0 == answer.returncode, answer.stdout + answer.stderr
