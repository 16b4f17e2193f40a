"""Renders the overlays of deploy/kubernetes where no kubectl is: the few features of kustomize that they use, no more.

test_kubernetes holds it equal to `kubectl kustomize` where kubectl is installed.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

_FIELDS = {"apiVersion", "kind", "namespace", "labels", "resources", "patches"}
_NOT_IN_A_NAMESPACE = {"Namespace"}
# What tells the entries of a list apart when a patch is merged into it; other lists are replaced.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}


def render(folder: Path) -> list[Resource]:
    """Return the resources of a kustomization, patched and labelled.

    Raises:
        ValueError: it uses what this does not know.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(kustomization) - _FIELDS:
        raise ValueError(f"{folder}: {', '.join(sorted(unknown))} is unknown here; use kubectl kustomize")
    resources: list[Resource] = []
    for name in kustomization["resources"]:
        path = folder / name
        resources += render(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    resources = copy.deepcopy(resources)  # YAML anchors share what is changed below
    for patch in kustomization.get("patches", ()):
        _apply(yaml.safe_load((folder / patch["path"]).read_text()), resources)
    for resource in resources:
        for labels in kustomization.get("labels", ()):
            _label(resource, labels["pairs"])
        if "namespace" in kustomization and resource["kind"] not in _NOT_IN_A_NAMESPACE:
            resource["metadata"]["namespace"] = kustomization["namespace"]
    return resources


def _apply(patch: Resource, resources: list[Resource]) -> None:
    wanted = (patch["kind"], patch["metadata"]["name"])
    (place,) = [n for n, one in enumerate(resources) if (one["kind"], one["metadata"]["name"]) == wanted]
    resources[place] = _merged(resources[place], patch)


def _merged(old: Any, new: Any, name: str = "") -> Any:
    """The strategic merge: mappings by key, null removes, known lists by what tells their entries apart."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = {key: _merged(old.get(key), value, key) for key, value in new.items() if value is not None}
        return {key: value for key, value in {**old, **both}.items() if new.get(key, value) is not None}
    if isinstance(old, list) and isinstance(new, list) and name in _KEYS:
        key = _KEYS[name]
        patches = {entry[key]: entry for entry in new}
        merged = [_merged(entry, patches.pop(entry[key], {})) for entry in old]
        return [*(_merged({}, entry) for entry in patches.values()), *merged]
    return _merged({}, new) if isinstance(new, dict) else new


def _label(resource: Resource, pairs: dict[str, str]) -> None:
    places = [resource.setdefault("metadata", {})]
    spec = resource.get("spec", {})
    if "template" in spec:
        places.append(spec["template"].setdefault("metadata", {}))
    for metadata in places:
        metadata["labels"] = {**metadata.get("labels", {}), **pairs}
