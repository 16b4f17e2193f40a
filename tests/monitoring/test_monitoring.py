"""The files of deploy/monitoring say what the service says: names, labels, and alerts that fire when they should."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.metrics import Metrics
from tests.mail_servers.programs import free_port, need, wait_until
from tests.service.process import Process

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/monitoring"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
TARGETS = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [expression for _, expression in TARGETS] + [rule["expr"] for rule in RULES]
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}
# What is counted only when something goes wrong, or somebody gives a model, has no series before.
SELDOM = {"Refused and dropped a second", "Models put into service or refused"}
SPAM, HAM = ROOT / "tests/mail/spam/parcel-customs-fee.eml", ROOT / "tests/mail/ham/short-yes.eml"


def labels_by_sample() -> dict[str, set[str]]:
    """Return the labels of every sample that the service can show."""
    found: dict[str, set[str]] = {}
    for instrument in vars(Metrics()).values():
        if hasattr(instrument, "describe"):
            (metric,) = instrument.describe()
            names = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[metric.type]
            found |= {metric.name + name: set(instrument._labelnames) for name in names}
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_is_one_of_the_service(expression: str) -> None:
    """A metric that is renamed, or loses a label, shows here and not on somebody's empty dashboard."""
    known = labels_by_sample()
    names = re.findall(r"\bhamlet_\w+", expression)
    assert names or "process_resident_memory_bytes" in expression
    allowed = ADDED_BY_PROMETHEUS.union(*(known[name] for name in names))
    grouped = [label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")]
    matched = [
        label for matcher in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)=~?\"", matcher)
    ]
    assert {label.strip() for label in grouped + matched} <= allowed


def test_the_alerts_are_valid_and_fire_when_they_should() -> None:
    """promtool of Debian reads the rules and runs their own tests, in which each of them fires."""
    need("promtool")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml", "alerts-week.test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tests = (FOLDER / "alerts.test.yml").read_text() + (FOLDER / "alerts-week.test.yml").read_text()
    for rule in RULES:
        assert re.search(rf'alertname="{rule["alert"]}"', tests), f"nothing shows that {rule['alert']} fires"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a Prometheus that has watched a service score and learn for a few seconds."""
    need("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    with Process(folder / "stderr") as service:
        service.wait_until(service.ready)
        configuration = (FOLDER / "prometheus.yml").read_text()
        configuration = configuration.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}").replace("15s", "1s")
        (folder / "prometheus.yml").write_text(configuration)
        (folder / "alerts.yml").write_text((FOLDER / "alerts.yml").read_text())
        port = free_port()
        options = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["prometheus", *options, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                wait_until(lambda: _scraped(client) > 0, "a first scrape", folder / "log")
                first = _scraped(client)
                while _scraped(client) < first + 4:
                    for path in (SPAM, HAM):
                        service.score(path.read_bytes())
                        service.client.post("/learnspam", content=path.read_bytes() + str(time.time()).encode())
                    time.sleep(0.2)
                yield client
        finally:
            process.terminate()
            process.wait()


def _scraped(client: httpx.Client) -> float:
    """Return how often the service was scraped."""
    try:
        found = _query(client, "count_over_time(hamlet_ready[10m])")
    except httpx.TransportError:
        return 0
    return float(found[0]["value"][1]) if found else 0


def _query(client: httpx.Client, expression: str) -> list[dict[str, Any]]:
    response = client.get("/api/v1/query", params={"query": expression})
    if response.status_code == 503:  # it starts
        return []
    assert response.status_code == 200, response.text
    result: list[dict[str, Any]] = response.json()["data"]["result"]
    return result


@pytest.mark.parametrize(("title", "expression"), TARGETS)
def test_every_panel_shows_something(prometheus: httpx.Client, title: str, expression: str) -> None:
    """What Grafana would ask, asked of a Prometheus that scrapes the service as the configuration says."""
    found = _query(prometheus, expression.replace("$job", ".+").replace("$__rate_interval", "1m"))
    assert found or title in SELDOM


def test_prometheus_has_the_alerts_and_none_fires(prometheus: httpx.Client) -> None:
    """The configuration loads the rules, and a service that is well is left alone."""
    rules = prometheus.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in RULES}
    assert prometheus.get("/api/v1/alerts").json()["data"]["alerts"] == []


def test_the_dashboard_fits_on_its_grid() -> None:
    """Panels have ids of their own and do not lie on each other."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
