"""pyproject.toml, constraints.txt, the Makefile and the Dockerfile say the same thing about dependencies."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
INSTALLS = ("Makefile", "Dockerfile", ".ci/run", "constraints.txt", "pyproject.toml", "docker-compose.yml")


def lines(name: str) -> list[str]:
    """Return the lines of a file at the root that are neither blank nor comments."""
    every = (ROOT / name).read_text().splitlines()
    return [line.strip() for line in every if line.strip() and not line.strip().startswith("#")]


def pins() -> dict[str, Version]:
    """Return the version that constraints.txt holds each package to."""
    found: dict[str, Version] = {}
    for line in lines("constraints.txt"):
        name, version = line.split("==")
        found[canonicalize_name(name)] = Version(version)
    return found


def requirements() -> list[Requirement]:
    """Return what the project asks for, with all extras; itself left out."""
    texts = [text for extra in EXTRAS.values() for text in extra]
    return [one for one in map(Requirement, texts) if one.name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    """What was tested is what users are allowed, and nothing floats."""
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)], prereleases=True)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_others_that_are_there(extra: str) -> None:
    """pip only warns of one that is missing, and installs without it."""
    own = [one for one in map(Requirement, EXTRAS[extra]) if one.name == PROJECT["name"]]
    assert {name for one in own for name in one.extras} <= EXTRAS.keys()


def test_constraints_name_versions_alone() -> None:
    """No hosts, options or local builds: the file means the same on every machine."""
    assert [line for line in lines("constraints.txt") if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_torch_comes_from_the_index_of_small_builds_which_stands_in_one_place() -> None:
    """The option stands in torch-cpu.txt alone, beside nothing but torch, so no other package is looked up there."""
    options = [line for line in lines("torch-cpu.txt") if line.startswith("-")]
    assert len(options) == 1
    assert options[0].startswith("--extra-index-url https://")
    assert [line for line in lines("torch-cpu.txt") if line not in options] == ["torch"]
    for name in INSTALLS:
        assert "index-url" not in (ROOT / name).read_text(), name


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_each_installation_is_constrained(name: str) -> None:
    """make and the image install the tested versions, torch first and without looking elsewhere for the rest."""
    text = (ROOT / name).read_text()
    assert "constraints.txt" in text
    torch_first, rest = text.index("-r torch-cpu.txt"), text.index("install", text.index("-r torch-cpu.txt"))
    assert "--no-deps" in text[text.rindex("install", 0, torch_first) : torch_first]
    assert torch_first < rest


def test_the_image_runs_a_python_that_the_project_allows() -> None:
    """The version in FROM satisfies requires-python."""
    versions = re.findall(r"^FROM python:(\d+\.\d+)-slim", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(versions) == 1
    assert SpecifierSet(PROJECT["requires-python"]).contains(versions[0])


def test_web_and_training_dependencies_stay_apart() -> None:
    """No package is asked for by both extras, or by one and the classifier."""
    groups = [EXTRAS["classifier"], EXTRAS["service"], EXTRAS["training"]]
    names = [canonicalize_name(Requirement(text).name) for group in groups for text in group]
    apart = [name for name in names if name != PROJECT["name"]]
    assert sorted(apart) == sorted(set(apart))


def test_only_an_extra_brings_dependencies() -> None:
    """A client does not install torch because the classifier needs it."""
    assert PROJECT["dependencies"] == []
    assert [Requirement(text).name for text in EXTRAS["client"]] == ["httpx"]
