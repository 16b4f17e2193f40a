"""The Dockerfile and the compose file promise what operators rely on; the built image is tried by hand."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
STATE = "/var/lib/hamlet"
MODELS = "/var/lib/hamlet-models"


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage, continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("FROM "):
            current = found.setdefault(line.split()[-1], [])
        current.append(line)
    return found


def argument(stage: str, instruction: str) -> str:
    """Return what follows the only such instruction of a stage."""
    (line,) = [line for line in stages()[stage] if line.startswith(instruction + " ")]
    return line.removeprefix(instruction).strip()


def compose_service(name: str = "service") -> dict[str, Any]:
    """Return a service of the compose file."""
    service: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][name]
    return service


def test_the_service_is_what_a_plain_build_makes() -> None:
    """The last stage is the default one."""
    assert list(stages())[-1] == "service"


@pytest.mark.parametrize("stage", ["service", "training"])
def test_images_run_as_a_numbered_user_other_than_root(stage: str) -> None:
    """A number lets an orchestrator check that it is not root."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", argument(stage, "USER"))


def test_the_service_gets_signals_itself() -> None:
    """In exec form no shell stands between the container's stop signal and the service."""
    assert json.loads(argument("service", "CMD")) == ["python", "-m", "service"]
    assert argument("service", "STOPSIGNAL") == "SIGTERM"


def test_the_health_check_asks_for_readiness_with_what_the_image_has() -> None:
    """A live process whose model is gone is not healthy; curl is not installed."""
    command = json.loads(argument("service", "HEALTHCHECK").split("CMD", 1)[1])
    assert command[0] == "python"
    assert "/health/ready" in command[-1]
    compile(command[-1], "HEALTHCHECK", "exec")


@pytest.mark.parametrize("stage", ["service", "training"])
def test_all_that_an_image_copies_exists_and_reaches_the_build(stage: str) -> None:
    """What COPY names is in the repository and let through by .dockerignore."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [line.split()[1:-1] for line in stages()[stage] if line.startswith("COPY ") and "--from" not in line]
    names = {name for sources in copies for name in sources}
    assert names <= let_through
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


def test_images_hold_only_the_code_that_they_run() -> None:
    """The service's image has no training in it, and training's no service."""
    assert not any(line.startswith("COPY training") for line in stages()["service"])
    assert not any(line.startswith("COPY service") for line in stages()["training"])


@pytest.mark.parametrize(("name", "writable"), [("service", [STATE]), ("retrain", [STATE, MODELS])])
def test_compose_runs_read_only_and_without_privileges(name: str, writable: list[str]) -> None:
    """One volume is all that the service may write to; versions are written by the job alone."""
    service = compose_service(name)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    places = [volume.split(":")[1:] for volume in service["volumes"]]
    assert [place[0] for place in places if place[1:] != ["ro"]] == writable
    assert {place[0] for place in places} == {STATE, MODELS}
    assert argument("service", "VOLUME") == argument("training", "VOLUME") == STATE


def test_service_and_job_share_their_versions_and_nothing_else() -> None:
    """The job is started by hand or by cron, finds the service by its name and has the key that it needs."""
    service, job = compose_service(), compose_service("retrain")
    assert job["profiles"] == ["retrain"]
    assert job["build"]["target"] == "training"
    shared = {volume.split(":")[0] for volume in service["volumes"]} & {
        volume.split(":")[0] for volume in job["volumes"]
    }
    assert shared == {"models"}
    assert service["environment"]["HAMLET_MODELS"] == MODELS
    options = dict(zip(job["command"][1::2], job["command"][2::2], strict=True))
    assert options["--models"] == MODELS
    assert options["--out"].startswith(f"{STATE}/")
    assert options["--service"] == f"http://service:{argument('service', 'EXPOSE')}"
    assert job["environment"]["HAMLET_ADMIN_KEYS"] == service["environment"]["HAMLET_ADMIN_KEYS"]


@pytest.mark.parametrize("stage", ["service", "training"])
def test_a_new_volume_for_versions_starts_with_the_bundled_one(stage: str) -> None:
    """It is copied to where the volume is mounted, and belongs to the image's user."""
    (line,) = [line for line in stages()[stage] if MODELS in line]
    assert f"cp -r models {MODELS}" in line
    assert f"chown -R {argument(stage, 'USER')} {MODELS}" in line


def test_feedback_stays_when_a_container_goes() -> None:
    """Alone the image keeps it in its volume; compose gives it a PostgreSQL with a volume, and the driver is there."""
    assert f"HAMLET_DATABASE_URL=sqlite:///{STATE}/" in argument("service", "ENV")
    assert "postgres]" in argument("service-dependencies", "RUN")
    assert compose_service()["environment"]["HAMLET_DATABASE_URL"].startswith("postgresql://")
    database = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["database"]
    assert database["volumes"] == ["feedback:/var/lib/postgresql/data"]
    assert "ports" not in database


def test_the_port_is_the_same_everywhere() -> None:
    """What compose publishes is what the image exposes, listens on and checks."""
    assert [port.split(":")[-1] for port in compose_service()["ports"]] == [argument("service", "EXPOSE")]
    assert f"HAMLET_PORT={argument('service', 'EXPOSE')}" in argument("service", "ENV")


def test_compose_waits_longer_than_the_service_drains() -> None:
    """Else accepted work is killed half done."""
    from service.settings import Settings

    drain_s = Settings.model_fields["drain_delay_s"].default + Settings.model_fields["drain_timeout_s"].default
    assert int(compose_service()["stop_grace_period"].removesuffix("s")) > drain_s
