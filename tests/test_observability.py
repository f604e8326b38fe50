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


def cases() -> dict[str, dict]:
    return {
        case["name"]: case for case in YAML(typ="safe").load((DOCS / "alerts.test.yaml").read_text())["tests"]
    }


@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert):
    [fires] = cases()[f"{alert} fires"]["alert_rule_test"]
    [quiet] = cases()[f"{alert} is quiet"]["alert_rule_test"]

    assert alert == fires["alertname"] == quiet["alertname"]
    assert fires["exp_alerts"]
    assert [] == quiet["exp_alerts"]


def test_the_cases_use_series_that_exist():
    used = {series["series"] for case in cases().values() for series in case.get("input_series", ())}

    assert {name for series in used for name in NAME.findall(series)} <= known()


def test_every_line_of_the_runbook_is_about_an_alert():
    headings = set(re.findall(r"^## (\S+)$", (DOCS / "runbook.md").read_text(), re.MULTILINE))

    assert headings == {rule["annotations"]["runbook"] for rule in rules()}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize("what", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")])
def test_promtool_accepts_the_rules_and_their_cases(what):
    answer = subprocess.run(["promtool", *what], capture_output=True, text=True, check=False, cwd=DOCS)

    assert 0 == answer.returncode, answer.stdout + answer.stderr
