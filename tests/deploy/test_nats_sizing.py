"""compose.yaml and the manifests give the message server what the journal that they set needs."""

import re
from typing import Any, NamedTuple

import pytest

from tapewire.log.jetstream.streams import total_bytes
from tests.deploy.manifests import (
    BASE_FOLDER,
    ROOT,
    base_settings,
    compose_config,
    load_kustomization,
    overlay_folders,
    pod_specs,
    yaml_documents,
)
from tests.deploy.nats_sizing import GOMEMLIMIT_SHARE, parse_size, size_for

JOURNAL_SETTING = "TAPEWIRE_JOURNAL_BYTES"
GIBIBYTE = 1 << 30


class NatsDeployment(NamedTuple):
    journal_bytes: int
    memory_limit: int
    go_limit: int


def _compose() -> NatsDeployment:
    services = compose_config()["services"]
    [journal] = re.findall(r":-(\d+)", services["provision"]["environment"][JOURNAL_SETTING])
    nats = services["nats"]
    return NatsDeployment(
        int(journal),
        parse_size(nats["mem_limit"], binary=True),
        parse_size(nats["environment"]["GOMEMLIMIT"]),
    )


def _kubernetes(journal: str) -> NatsDeployment:
    [container] = pod_specs()["nats"]["containers"]
    [go_limit] = [each["value"] for each in container["env"] if each["name"] == "GOMEMLIMIT"]
    limit = container["resources"]["limits"]["memory"]
    return NatsDeployment(int(journal), parse_size(limit), parse_size(go_limit))


def _overlay_journal(folder: Any) -> str:
    literals = [
        literal.split("=", 1)
        for generator in load_kustomization(folder).get("configMapGenerator", [])
        for literal in generator["literals"]
    ]
    return str(dict(literals).get(JOURNAL_SETTING, base_settings()[JOURNAL_SETTING]))


DEPLOYMENTS = {
    "compose": _compose(),
    "base": _kubernetes(base_settings()[JOURNAL_SETTING]),
    **{folder.name: _kubernetes(_overlay_journal(folder)) for folder in overlay_folders()},
}


def _nats_setting(name: str) -> int:
    """A size in nats.conf, where ``16GB`` are 16 GiB."""
    [value] = re.findall(rf"^\s*{name}: (\S+)$", (BASE_FOLDER / "nats.conf").read_text(), re.M)
    return parse_size(value, binary=True)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_memory_suffices_for_a_full_journal(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    needed = size_for(deployment.journal_bytes, _nats_setting("max_memory_store")).memory_bytes
    assert deployment.go_limit >= needed
    assert deployment.memory_limit * GOMEMLIMIT_SHARE >= deployment.go_limit


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_store_has_room_for_the_limits_of_all_streams(name: str) -> None:
    assert total_bytes(DEPLOYMENTS[name].journal_bytes) < _nats_setting("max_file_store")


def test_the_volume_has_room_for_the_limits_of_all_streams() -> None:
    [dev] = yaml_documents(BASE_FOLDER.parent / "overlays" / "dev" / "small-volume.yaml")[0]
    assert total_bytes(DEPLOYMENTS["dev"].journal_bytes) < parse_size(dev["value"])


def test_the_table_of_the_docs_follows_from_the_figures() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| (\d+) GiB \| ([0-9.]+) \| ([0-9.]+) \| ([0-9.]+) GiB \|", text, re.M)
    assert len(rows) >= 4
    for journal, orders, subjects, memory in rows:
        sizing = size_for(int(journal) * GIBIBYTE, _nats_setting("max_memory_store"))
        container = sizing.memory_bytes / GOMEMLIMIT_SHARE / GIBIBYTE
        expected = (sizing.orders / 1e6, sizing.subjects / 1e6, container)
        assert (float(orders), float(subjects), float(memory)) == pytest.approx(expected, abs=0.06)
