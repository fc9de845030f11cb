"""docs/prometheus-rules.yaml uses metrics that the edge has, and names a runbook for each alert."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import ROOT

RULES_FILE = ROOT / "docs" / "prometheus-rules.yaml"
METRICS_MODULE = ROOT / "services" / "edge" / "http" / "controllers" / "operations.py"
RULES: list[Any] = [
    pytest.param(rule, id=rule["alert"])
    for group in yaml.safe_load(RULES_FILE.read_text())["groups"]
    for rule in group["rules"]
]


def heading_anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("rule", RULES)
def test_an_alert_uses_metrics_that_exist(rule: dict[str, Any]) -> None:
    used = set(re.findall(r"tapewire_\w+", rule["expr"]))
    known = set(re.findall(r'"(tapewire_\w+)"', METRICS_MODULE.read_text()))
    assert used
    assert used <= known


@pytest.mark.parametrize("rule", RULES)
def test_an_alert_has_a_severity_and_a_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in heading_anchors((ROOT / "docs" / file).read_text())


def test_prometheus_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here")
    subprocess.run([promtool, "check", "rules", str(RULES_FILE)], check=True, timeout=30)
