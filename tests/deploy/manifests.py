"""Reads the deployment files (k8s/, compose.yaml, Dockerfile) for the tests in this folder.

Start at `kubernetes_objects`: every Kubernetes object of a folder with its file.
`schema_violations` checks an object against the schemas of Kubernetes. They come from the package
kubernetes-validate, so the check needs neither a cluster nor a network.
"""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
BASE_FOLDER = ROOT / "k8s" / "base"
OVERLAYS_FOLDER = ROOT / "k8s" / "overlays"

# The oldest supported release: the oldest one that the large providers still offer.
KUBERNETES_VERSION = "1.31"

POD_KINDS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}

KUSTOMIZATION_API = "kustomize.config.k8s.io/v1beta1"


@cache
def yaml_documents(path: Path) -> list[Any]:
    """Return the non-empty YAML documents of a file. Do not change them: the list is shared."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def kubernetes_objects(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Return every Kubernetes object in a folder's files, without patches and kustomizations."""
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml_documents(path):
            if isinstance(document, dict) and document.get("kind") != "Kustomization":
                yield path, document


def load_kustomization(folder: Path) -> dict[str, Any]:
    """Return the kustomization.yaml of a folder."""
    document: dict[str, Any]
    (document,) = yaml_documents(folder / "kustomization.yaml")
    assert document["apiVersion"] == KUSTOMIZATION_API
    return document


def overlay_folders() -> list[Path]:
    """Return the folders of all overlays."""
    return sorted(path.parent for path in OVERLAYS_FOLDER.glob("*/kustomization.yaml"))


def render_kustomization(folder: Path) -> list[dict[str, Any]] | None:
    """Return the output of `kubectl kustomize` for a folder; None without kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return None
    made = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert made.returncode == 0, f"kubectl kustomize {folder.relative_to(ROOT)}: {made.stderr}"
    return [document for document in yaml.safe_load_all(made.stdout) if document]


def schema_violations(resource: dict[str, Any]) -> str | None:
    """Describe how an object violates its Kubernetes schema, unknown fields included; or None."""
    name = f"{resource['kind']} {resource['metadata']['name']}"
    try:
        kubernetes_validate.validate(resource, KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"{name}: {error.message}"
    except kubernetes_validate.ValidationError as error:
        return f"{name}: {'.'.join(str(step) for step in error.path)}: {error.message}"
    return None


def pod_specs() -> dict[str, dict[str, Any]]:
    """Return the pod specs of the base by the name of their Deployment or StatefulSet."""
    return {
        resource["metadata"]["name"]: resource["spec"]["template"]["spec"]
        for _, resource in kubernetes_objects(BASE_FOLDER)
        if resource["kind"] in POD_KINDS
    }


def pod_containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a pod, init containers included."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def base_settings() -> dict[str, str]:
    """Return the base's settings.env, parsed as kustomize does."""
    lines = (BASE_FOLDER / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def deployable_services() -> set[str]:
    """Return the services that can be started, and therefore deployed."""
    return {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")}


def service_of(command: list[str]) -> str | None:
    """Return the service that a container's command runs; None for any other command."""
    return command[2] if command[:2] == ["tapewire", "run"] and len(command) == 3 else None


def compose_config() -> dict[str, Any]:
    """Return compose.yaml with its anchors resolved."""
    document: dict[str, Any]
    (document,) = yaml_documents(ROOT / "compose.yaml")
    return document
