"""The manifests are valid Kubernetes, and say the same as the code, its settings and its image."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.app import create_app
from service.metrics import Metrics
from service.settings import Settings, unknown_variables
from tests.packaging.kustomize import Resource, render
from tests.packaging.test_image import ROOT, STATE, argument

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("small", "production")
# From the newest that the validator knows down to the oldest that is still maintained when that one comes out.
VERSIONS = ("1.37", "1.34")
# Custom resources of the Prometheus operator: their schemas come with the operator, not with Kubernetes.
OPERATOR = "monitoring.coreos.com/v1"
MIB = {"Mi": 1, "Gi": 1024}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> list[Resource]:
    """The resources of each overlay in turn."""
    return render(KUBERNETES / "overlays" / request.param)


def only(resources: list[Resource], kind: str) -> Any:
    """Return the one resource of a kind."""
    (found,) = [resource for resource in resources if resource["kind"] == kind]
    return found


def pod_specs(resources: list[Resource]) -> list[Any]:
    """Return the spec of every pod that something starts."""
    specs = []
    for resource in resources:
        spec = resource.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        specs += [spec["template"]["spec"]] if "template" in spec else []
    return specs


def containers(pod: Any) -> list[Any]:
    """Return the containers of a pod, those that run first included."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def service_container(resources: list[Resource]) -> Any:
    """Return the container of the service."""
    (container,) = only(resources, "Deployment")["spec"]["template"]["spec"]["containers"]
    return container


def environment(container: Any) -> dict[str, str]:
    """Return the variables that are written out."""
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}


def settings_of(container: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings that the service has in this container."""
    for name in [name for name in os.environ if name.startswith("HAMLET_")]:
        monkeypatch.delenv(name)
    for name, value in environment(container).items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_resources_are_valid(overlay: list[Resource], version: str) -> None:
    """Every field is known, has the right type and its right place, in old and new clusters."""
    for resource in overlay:
        if resource["apiVersion"] != OPERATOR:
            kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_job_that_the_documentation_shows_is_valid(version: str) -> None:
    """Training on several machines."""
    text = (ROOT / "docs" / "training-on-several-machines.md").read_text()
    (job,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    kubernetes_validate.validate(yaml.safe_load(job), version, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_renders_the_same(name: str) -> None:
    """What these tests look at is what is applied."""
    folder = KUBERNETES / "overlays" / name
    # Debian has no kubectl that knows this format, so .ci/run has none: the tests of this file render without it.
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here; the overlays were rendered by tests.packaging.kustomize alone")
    run = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    # An old one refuses what a cluster of today takes: that says nothing of the overlays.
    if "unknown field" in run.stderr:
        pytest.skip(f"this kubectl is older than the overlays' format: {run.stderr.strip()[:200]}")
    assert run.returncode == 0, run.stderr

    def ordered(resources: list[Resource]) -> list[Resource]:
        return sorted(resources, key=lambda one: (one["kind"], one["metadata"]["name"]))

    # kustomize 5.5 writes an empty line into a text whose second line is indented.
    rendered = re.sub(r"\n\n+", "\n", run.stdout)
    assert ordered(list(yaml.safe_load_all(rendered))) == ordered(render(folder))


def test_the_probes_ask_routes_that_are_there(overlay: list[Resource]) -> None:
    """A pod gets requests when it can answer, and is restarted only when the process does not answer at all."""
    container = service_container(overlay)
    paths = set(create_app(Settings()).openapi()["paths"])
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {probe["path"] for probe in probes.values()} <= paths
    assert probes["liveness"]["path"] == "/health/live"
    assert probes["readiness"]["path"] == probes["startup"]["path"] == "/health/ready"
    assert {probe["port"] for probe in probes.values()} == {"http"}


def test_the_port_is_the_one_that_the_service_listens_on(
    overlay: list[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting, container port, Service and network policy agree."""
    container = service_container(overlay)
    (port,) = container["ports"]
    assert port["name"] == "http"
    assert port["containerPort"] == settings_of(container, monkeypatch).port == int(argument("service", "EXPOSE"))
    (service_port,) = only(overlay, "Service")["spec"]["ports"]
    assert service_port["targetPort"] == "http"
    (ingress,) = only(overlay, "NetworkPolicy")["spec"]["ingress"]
    assert [one["port"] for one in ingress["ports"]] == ["http"]


def test_accepted_work_is_finished_before_a_pod_is_killed(
    overlay: list[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grace period holds delay and drain, and the delay holds until endpoints have noticed."""
    pod = only(overlay, "Deployment")["spec"]["template"]["spec"]
    settings = settings_of(service_container(overlay), monkeypatch)
    assert pod["terminationGracePeriodSeconds"] >= settings.drain_delay_s + settings.drain_timeout_s + 5
    assert settings.drain_delay_s >= 5
    assert settings.drain_timeout_s >= settings.request_timeout_ms / 1000


def test_a_batch_that_hangs_is_noticed_by_the_service_first(
    overlay: list[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Liveness waits longer than HAMLET_STALL_S, so a pod says that it is not ready before it is restarted."""
    probe = service_container(overlay)["livenessProbe"]
    stall_s = settings_of(service_container(overlay), monkeypatch).stall_s
    assert probe["periodSeconds"] * probe["failureThreshold"] > stall_s


def test_every_variable_is_a_setting(overlay: list[Resource]) -> None:
    """A misspelt one would do nothing."""
    deployment = only(overlay, "Deployment")["spec"]["template"]["spec"]
    for container in containers(deployment):
        assert unknown_variables(environment(container)) == []


def test_pods_run_as_the_image_does_and_can_write_to_volumes_alone(overlay: list[Resource]) -> None:
    """Not root, nothing gained, no capability, the root read-only, no token of the cluster."""
    user = int(argument("service", "USER").split(":")[0])
    for pod in pod_specs(overlay):
        security = pod["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, user, user)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_volumes_stand_where_the_image_writes(overlay: list[Resource], monkeypatch: pytest.MonkeyPatch) -> None:
    """State is at the volume of the image, models where HAMLET_MODELS says, and each mount has a volume."""
    for pod in pod_specs(overlay):
        names = {volume["name"] for volume in pod.get("volumes", ())}
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= names
        for container in pod["containers"]:
            assert STATE in {mount["mountPath"] for mount in container["volumeMounts"]}
    container = service_container(overlay)
    models = settings_of(container, monkeypatch).models
    if models is not None:
        mount = next(mount for mount in container["volumeMounts"] if mount["mountPath"] == str(models))
        assert mount["readOnly"] is True, "only the retraining job writes versions"


def test_the_memory_limit_holds_what_the_settings_let_in(
    overlay: list[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy process (docs/benchmarks.md), all request bodies that are held at one time, and a second model."""
    container = service_container(overlay)
    settings = settings_of(container, monkeypatch)
    limit = re.fullmatch(r"(\d+)(Mi|Gi)", container["resources"]["limits"]["memory"])
    assert limit
    number, unit = limit.groups()
    weights = max(path.stat().st_size for path in (ROOT / "models").rglob("model.safetensors"))
    busy_mib = 700  # what the pod asks for: the most that a process took under load, with room
    assert container["resources"]["requests"]["memory"] == f"{busy_mib}Mi"
    # Weights are held in float32, twice as large as on disk, and once more in bfloat16.
    needed = busy_mib + settings.max_buffered_bytes / 2**20 + 4 * weights / 2**20
    assert int(number) * MIB[unit] >= needed * settings.workers


def test_images_are_those_of_the_dockerfile() -> None:
    """The service and the training target, of the version that the project has."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {
        container["image"]
        for name in OVERLAYS
        for pod in pod_specs(render(KUBERNETES / "overlays" / name))
        for container in containers(pod)
    }
    assert images == {f"hamlet:{version}", f"hamlet-training:{version}"}
    titles = re.findall(r'image\.title="(.*?)"', (ROOT / "Dockerfile").read_text())
    assert {image.partition(":")[0] for image in images} == set(titles)


def test_selectors_find_the_pods() -> None:
    """The Service, the budget, the autoscaler, the monitor and the policy are about the pods of the Deployment."""
    production = render(KUBERNETES / "overlays" / "production")
    deployment = only(production, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert only(production, "Service")["spec"]["selector"].items() <= labels
    assert only(production, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    assert only(production, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= labels
    job = only(production, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"].items()
    assert not only(production, "Service")["spec"]["selector"].items() <= job, "the job would get requests"
    monitored = only(production, "ServiceMonitor")["spec"]
    assert monitored["selector"]["matchLabels"].items() <= only(production, "Service")["metadata"]["labels"].items()
    assert only(production, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    assert "replicas" not in deployment["spec"], "each time it is applied it would undo the autoscaler's work"


def test_the_autoscaler_follows_a_metric_that_is_there() -> None:
    """The queue is a metric of the service; CPU is measured against what the pod asks for."""
    scaler = only(render(KUBERNETES / "overlays" / "production"), "HorizontalPodAutoscaler")["spec"]
    asked = {one["type"]: one for one in scaler["metrics"]}
    metrics = {family.name for family in Metrics().registry.collect()}
    assert asked["Pods"]["pods"]["metric"]["name"] in metrics
    assert asked["Resource"]["resource"]["name"] == "cpu"
    assert 1 < scaler["minReplicas"] < scaler["maxReplicas"], "one replica is none when its node goes"


def test_the_alerts_are_those_of_the_monitoring_folder() -> None:
    """One set of rules, whoever runs Prometheus."""
    rules = only(render(KUBERNETES / "overlays" / "production"), "PrometheusRule")["spec"]
    assert rules == yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text())


def test_the_retraining_job_runs_once_a_night_and_ends() -> None:
    """Never two at a time, with a deadline, not again until the next night; what it says is an end is a good one."""
    job = only(render(KUBERNETES / "overlays" / "production"), "CronJob")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["startingDeadlineSeconds"] < 24 * 3600
    spec = job["jobTemplate"]["spec"]
    assert (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert spec["activeDeadlineSeconds"] < 24 * 3600


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (3, 0), (4, 0), (1, 1), (2, 2)])
def test_a_model_that_stays_is_no_failure_of_the_job(tmp_path: Path, status: int, ends: int) -> None:
    """The job's script, with a python that ends with each status."""
    (container,) = only(render(KUBERNETES / "overlays" / "production"), "CronJob")["spec"]["jobTemplate"]["spec"][
        "template"
    ]["spec"]["containers"]
    (tmp_path / "python").write_text(f"#!/bin/sh\nexit {status}\n")
    (tmp_path / "python").chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run([*container["command"], *container["args"]], env=path).returncode == ends


def test_a_new_folder_of_models_begins_with_the_bundled_one(tmp_path: Path) -> None:
    """The script that runs first: an empty folder gets the bundled version, one that is in use stays as it is."""
    pod = only(render(KUBERNETES / "overlays" / "production"), "Deployment")["spec"]["template"]["spec"]
    (first,) = pod["initContainers"]
    models = tmp_path / "models"
    models.mkdir()
    script = re.sub("(?<!/app)/models", str(models), first["args"][0]).replace("/app/models", str(ROOT / "models"))

    def run(name: str) -> None:
        subprocess.run([*first["command"], script], env={**os.environ, "HOSTNAME": name}, check=True)

    run("one")
    bundled = (ROOT / "models" / "active").read_text().strip()
    assert sorted(path.name for path in models.iterdir()) == sorted([bundled, "active"])
    (models / "active").unlink()  # as if another pod was just about to name it
    run("two")
    assert (models / "active").read_text().strip() == bundled
    (models / "active").write_text("mine")
    run("three")
    assert (models / "active").read_text() == "mine"
    assert sorted(path.name for path in models.iterdir()) == sorted([bundled, "active"])
