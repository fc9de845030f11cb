"""The Kubernetes manifests are valid by its schemas and follow the project's rules."""

import copy
from typing import Any

import pytest

from tapewire.runtime.settings import Settings, describe
from tests.deploy.manifests import (
    BASE_FOLDER,
    POD_KINDS,
    ROOT,
    base_settings,
    deployable_services,
    kubernetes_objects,
    load_kustomization,
    overlay_folders,
    pod_containers,
    pod_specs,
    render_kustomization,
    schema_violations,
    service_of,
)

FOLDERS = [BASE_FOLDER, *overlay_folders()]
OBJECTS = [
    pytest.param(document, id=f"{path.relative_to(ROOT / 'k8s')}:{document['kind']}")
    for folder in FOLDERS
    for path, document in kubernetes_objects(folder)
]
KUSTOMIZATION_FIELDS = {
    "apiVersion", "kind", "namespace", "resources", "labels", "images", "patches",
    "configMapGenerator", "secretGenerator",
}  # fmt: skip


@pytest.mark.parametrize("document", OBJECTS)
def test_every_object_is_valid_by_its_schema(document: dict[str, Any]) -> None:
    assert schema_violations(document) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda pod: pod["containers"][0].update(livenesProbe={}), "livenesProbe"),
        (lambda pod: pod["containers"][0].update(image=3), "not of type 'string'"),
        (lambda pod: pod.update(terminationGracePeriodSeconds="45s"), "45s"),
        (lambda pod: pod["containers"][0].pop("name"), "'name' is a required property"),
    ],
    ids=["unknown field", "wrong type", "number with a unit", "missing field"],
)
def test_a_mistake_in_a_manifest_is_found(change: Any, expected: str) -> None:
    deployment = next(
        d for path, d in kubernetes_objects(BASE_FOLDER) if path.name == "orders.yaml"
    )
    broken = copy.deepcopy(deployment)
    change(broken["spec"]["template"]["spec"])
    assert expected in (schema_violations(broken) or "nothing found")


def test_an_unknown_kind_is_found() -> None:
    resource = {"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "old"}}
    assert "Couldn't find schema" in (schema_violations(resource) or "nothing found")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kustomizations_list_all_files_of_their_folder(folder: Any) -> None:
    document = load_kustomization(folder)
    assert set(document) <= KUSTOMIZATION_FIELDS
    named = set(document["resources"])
    named |= {patch["path"] for patch in document.get("patches", [])}
    for generator in document.get("configMapGenerator", []):
        named |= {*generator.get("envs", []), *generator.get("files", [])}
    missing = [name for name in named if not (folder / name).exists()]
    assert missing == []
    present = {path.name for path in folder.iterdir()} - {"kustomization.yaml"}
    forgotten = {name for name in present - named if ".example." not in name}
    assert forgotten == set()


@pytest.mark.parametrize("folder", overlay_folders(), ids=lambda folder: folder.name)
def test_patches_have_targets(folder: Any) -> None:
    base = [document for _, document in kubernetes_objects(BASE_FOLDER)]
    for patch in load_kustomization(folder).get("patches", []):
        target = patch["target"]
        hit = [
            document
            for document in base
            if document["kind"] == target["kind"]
            and target.get("name", document["metadata"]["name"]) == document["metadata"]["name"]
        ]
        assert hit, f"{patch['path']} patches {target}, which the base does not have"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_output_of_kustomize_is_valid(folder: Any) -> None:
    made = render_kustomization(folder)
    if made is None:
        pytest.skip("no kubectl here to build the kustomization with")
    assert [problem for document in made if (problem := schema_violations(document))] == []
    images = {
        container["image"]
        for document in made
        if document["kind"] in POD_KINDS
        for container in pod_containers(document["spec"]["template"]["spec"])
    }
    assert images == {
        f"{image['name']}:{image['newTag']}" for image in load_kustomization(BASE_FOLDER)["images"]
    }


def test_exactly_the_deployable_services_are_deployed() -> None:
    mains = [container for pod in pod_specs().values() for container in pod["containers"]]
    run = {service_of(container["command"]) for container in mains}
    assert run - {None} == deployable_services()


def test_images_are_pinned_in_one_place() -> None:
    pinned = {image["name"]: image["newTag"] for image in load_kustomization(BASE_FOLDER)["images"]}
    used = {container["image"] for pod in pod_specs().values() for container in pod_containers(pod)}
    assert used == set(pinned)
    assert "latest" not in pinned.values()


@pytest.mark.parametrize("name", pod_specs())
def test_no_pod_runs_as_root_or_can_escalate_to_root(name: str) -> None:
    pod = pod_specs()[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod_containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("name", pod_specs())
def test_every_container_has_probes_and_resource_limits(name: str) -> None:
    for container in pod_specs()[name]["containers"]:
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports, probe
    for container in pod_containers(pod_specs()[name]):
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


@pytest.mark.parametrize("name", pod_specs())
def test_the_startup_probe_allows_for_the_wait_for_nats(name: str) -> None:
    """Otherwise Kubernetes would kill the process before it reports what it waits for."""
    waits = 2 * float(
        base_settings()["TAPEWIRE_NATS_WAIT"]
    )  # once to connect, once for the streams
    for container in pod_specs()[name]["containers"]:
        probe = container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] > waits


def test_the_grace_period_of_the_edge_covers_its_drain() -> None:
    pod = pod_specs()["edge"]
    (edge,) = pod["containers"]
    (sleep, seconds) = edge["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    drain = float(base_settings()["TAPEWIRE_DRAIN_SECONDS"])
    last_write = Settings().write_seconds
    assert pod["terminationGracePeriodSeconds"] >= float(seconds) + drain + last_write + 5


def test_every_workload_has_a_disruption_budget() -> None:
    objects = [document for _, document in kubernetes_objects(BASE_FOLDER)]
    budgets = {d["metadata"]["name"] for d in objects if d["kind"] == "PodDisruptionBudget"}
    assert budgets == set(pod_specs())


def test_every_pod_selector_matches_a_pod() -> None:
    """A misspelled label in a policy or a service selects nothing and causes no error."""
    labels = [
        {"app.kubernetes.io/part-of": "tapewire"}
        | document["spec"]["template"]["metadata"]["labels"]
        for _, document in kubernetes_objects(BASE_FOLDER)
        if document["kind"] in POD_KINDS
    ]
    for path, document in kubernetes_objects(BASE_FOLDER):
        spec = document.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
        found = [label for label in labels if wanted.items() <= label.items()]
        assert found, f"{path.name}: {document['kind']} {document['metadata']['name']}: {wanted}"
        for expression in selector.get("matchExpressions", []):
            values = {label[expression["key"]] for label in labels}
            assert set(expression["values"]) <= values


def test_settings_exist_and_parse() -> None:
    known = {setting.env for setting in describe()}
    given = base_settings()
    for pod in pod_specs().values():
        for container in pod_containers(pod):
            given |= {
                variable["name"]: variable.get("value", "a name or a secret, long enough for both")
                for variable in container.get("env", [])
                if variable["name"].startswith(("TAPEWIRE_", "SSE_", "OTEL_"))
            }
    assert set(given) <= known
    Settings.from_env(given)


def test_settings_of_overlays_exist_and_parse() -> None:
    known = {setting.env for setting in describe()}
    for folder in overlay_folders():
        for generator in load_kustomization(folder).get("configMapGenerator", []):
            given = dict(literal.split("=", 1) for literal in generator["literals"])
            assert set(given) <= known
            Settings.from_env(given)


def test_every_secret_is_marked_as_a_placeholder() -> None:
    secrets = [
        d for folder in FOLDERS for _, d in kubernetes_objects(folder) if d["kind"] == "Secret"
    ]
    values = [value for secret in secrets for value in secret["stringData"].values()]
    for folder in overlay_folders():
        for generator in load_kustomization(folder).get("secretGenerator", []):
            values += [literal.split("=", 1)[1] for literal in generator["literals"]]
    assert values
    assert all("not-a-secret" in value for value in values)
