"""Dashboard, alert rules and reference agree with the metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ingest.fleet.metrics import DROP_REASONS
from ingest.fleet.reference import fleet_text, page
from ingest.fleet.status import CameraState

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "ingest" / "fleet" / "dashboards"
RAISED = Path(__file__).with_name("alerts_test.yml")
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
BOARD = json.loads((FOLDER / "kerbwatch.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
OF_GRAFANA = {"$__rate_interval": "5m", "$camera": ".*"}
VALUES = {"state": {*CameraState, "pending", "delivered", "dead"}, "reason": set(DROP_REASONS)}
"""What labels with a closed list can be."""


def api_text():
    return subprocess.run(
        [sys.executable, "-m", "api.metrics"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout


@pytest.fixture(scope="module")
def series():
    """Give {name of a series: its labels}."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(fleet_text() + api_text()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def selectors(expression):
    """Give (metric name, [(label, operator, value)]) of every selector of a query."""
    for name, value in OF_GRAFANA.items():
        expression = expression.replace(name, value)
    found = []

    def walk(node):
        if isinstance(node, promql_parser.VectorSelector):
            matchers = [(one.name, str(one.op), one.value) for one in node.matchers.matchers]
            found.append((node.name, matchers))
        for child in ("lhs", "rhs", "expr", "vector_selector", "vs", "param"):
            inner = getattr(node, child, None)
            if inner is not None and not isinstance(inner, str | float | int):
                walk(inner)
        for argument in getattr(node, "args", ()) or ():
            walk(argument)

    walk(promql_parser.parse(expression))
    return found


QUERIES = [
    *(
        (f"{panel['title']}: {target['refId']}", target["expr"])
        for panel in PANELS
        for target in panel["targets"]
    ),
    *((rule["alert"], rule["expr"]) for rule in RULES),
]


@pytest.mark.parametrize(("where", "expression"), QUERIES, ids=[where for where, _ in QUERIES])
def test_every_query_is_promql_over_metrics_and_labels_that_exist(where, expression, series):
    found = selectors(expression)
    assert len(found) == len(re.findall(r"kerbwatch_\w+", expression)), found
    for name, matchers in found:
        assert name in series, f"{where}: {name}"
        for label, _, value in matchers:
            assert label in series[name], f"{where}: {name} has no label {label}"
            if label in VALUES:
                assert set(value.split("|")) <= VALUES[label], f"{where}: {label} is never {value}"


def test_a_query_over_a_metric_that_does_not_exist_would_be_found(series):
    ((name, matchers),) = selectors('sum(rate(kerbwatch_camera_smiles_total{camera="a"}[5m])) > 3')
    assert name not in series
    assert [label for label, _, _ in matchers] == ["camera"]


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_every_alert_says_what_is_wrong_and_what_to_do(rule, series):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    assert set(rule["annotations"]) == {"summary", "action"}
    for text in rule["annotations"].values():
        assert text[0].isupper() or text.startswith(("kerbwatch", "{{"))
        assert text.endswith(".")
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    known = set().union(*(series[name] for name, _ in selectors(rule["expr"])))
    assert used <= known


def test_what_the_issue_asks_to_be_told_has_an_alert():
    names = {rule["alert"] for rule in RULES}
    assert len(names) == len(RULES)
    assert names >= {
        "KerbwatchCameraSilent",
        "KerbwatchCameraClockOff",
        "KerbwatchCameraFpsDrift",
        "KerbwatchWorkerRestarting",
        "KerbwatchOutboxGrowing",
        "KerbwatchOverload",
    }


@pytest.mark.parametrize(
    "words", [("check", "rules", FOLDER / "alerts.yml"), ("test", "rules", RAISED)], ids=["check", "test"]
)
def test_promtool_takes_the_rules_and_finds_them_to_raise_what_they_should(words):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_series_that_raises_it(series):
    told = yaml.safe_load(RAISED.read_text(encoding="utf-8"))
    raised = set()
    for test in told["tests"]:
        raised |= {alert["alertname"] for alert in test.get("alert_rule_test", ()) if alert["exp_alerts"]}
        for query in test.get("promql_expr_test", ()):
            raised |= {
                label for row in query["exp_samples"] for label in re.findall(r"Kerbwatch\w+", row["labels"])
            }
        for row in test["input_series"]:
            for name, matchers in selectors(row["series"]):
                assert name == "up" or {label for label, _, _ in matchers} <= series[name], row["series"]
    assert raised == {rule["alert"] for rule in RULES}


def test_variables_and_legends_of_the_dashboard_use_labels_that_exist(series):
    (variable,) = [one for one in BOARD["templating"]["list"] if one["type"] == "query"]
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
    assert label in series[name]
    for panel in PANELS:
        for target in panel["targets"]:
            legend = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            known = set().union(*(series[name] for name, _ in selectors(target["expr"])))
            kept = re.search(r"\bby \(([\w, ]+)\)", target["expr"])
            assert legend <= (known if kept is None else set(kept[1].split(", "))), panel["title"]


def test_the_dashboard_is_whole():
    assert BOARD["schemaVersion"] >= 39
    assert BOARD["uid"] == "kerbwatch"
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert {variable["name"] for variable in BOARD["templating"]["list"]} == {"datasource", "camera"}
    for panel in PANELS:
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_panels_do_not_lie_over_each_other():
    taken = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_shows_most_of_what_is_measured(series):
    used = {name for panel in PANELS for target in panel["targets"] for name, _ in selectors(target["expr"])}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert families - shown <= {
        "kerbwatch_build_info",
        "kerbwatch_camera_info",
        "kerbwatch_camera_frames_received_total",
        "kerbwatch_camera_last_analysed_timestamp_seconds",
        "kerbwatch_api_reports_total",
    }


def test_the_reference_is_what_the_collectors_say():
    written = (FOLDER / "METRICS.md").read_text(encoding="utf-8")
    assert written == page([("The fleet", fleet_text()), ("The API", api_text())]), "run: make metrics"


def test_every_metric_states_its_meaning_and_unit():
    for family in text_string_to_metric_families(fleet_text() + api_text()):
        assert re.fullmatch(r"kerbwatch_[a-z_]+", family.name)
        assert len(family.documentation) > 15
        assert family.documentation.endswith(".")
        for unit in ("seconds", "bytes", "fps", "cores"):
            if family.name.endswith(f"_{unit}"):
                assert {"fps": "per second", "cores": "core"}.get(unit, unit) in family.documentation.lower()
