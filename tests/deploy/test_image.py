"""The Dockerfile and the lock files: a small, unprivileged image with pinned contents."""

import re
import tomllib

import pytest

from tapewire.runtime.settings import Settings, describe
from tests.deploy.manifests import ROOT

LOCKS = ["requirements.lock", "requirements-image.lock"]
INSTRUCTIONS = {
    "ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "EXPOSE", "STOPSIGNAL", "CMD",
}  # fmt: skip


def dockerfile_instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions in order, with continuation lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def env_variables(text: str) -> dict[str, str]:
    """Return the assignments of an ENV instruction."""
    return dict(pair.split("=", 1) for pair in text.split())


def pinned_packages(lock: str) -> dict[str, str]:
    """Return the name and the version of every package of a lock file."""
    text = (ROOT / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, flags=re.M))


def test_the_dockerfile_uses_known_instructions_only() -> None:
    assert {name for name, _ in dockerfile_instructions()} <= INSTRUCTIONS


def test_every_stage_uses_the_pinned_base_image() -> None:
    base = next(rest for name, rest in dockerfile_instructions() if name == "ARG")
    assert re.fullmatch(r"BASE=python:\d+\.\d+\.\d+-slim-[a-z]+", base)
    stages = [rest for name, rest in dockerfile_instructions() if name == "FROM"]
    assert stages == ["${BASE} AS build", "${BASE}"]


def test_the_image_runs_as_a_numeric_user_other_than_root() -> None:
    assert ("USER", "10001:10001") in dockerfile_instructions()
    names = [name for name, _ in dockerfile_instructions()]
    assert not {"RUN", "COPY"} & set(names[names.index("USER") :])


def test_only_hashed_dependencies_are_installed() -> None:
    installs = [
        rest for name, rest in dockerfile_instructions() if name == "RUN" and "pip install" in rest
    ]
    commands = [part for rest in installs for part in rest.split("&&") if "pip install" in part]
    assert all("--require-hashes" in c or "--no-deps" in c for c in commands), commands


def test_copied_files_exist_and_pass_dockerignore() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for name, rest in dockerfile_instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert {source.rstrip("*") for source in copied} == allowed
    assert [name for name in copied if "*" not in name and not (ROOT / name).exists()] == []


def test_settings_exist_and_parse() -> None:
    given: dict[str, str] = {}
    for name, rest in dockerfile_instructions():
        if name == "ENV":
            given |= {k: v for k, v in env_variables(rest).items() if k.startswith("TAPEWIRE_")}
    assert set(given) <= {setting.env for setting in describe()}
    Settings.from_env(given)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_have_hashes_and_no_locations(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|file:|@ |--(index|extra-index|find-links)", text)
    blocks = re.split(r"\n(?=[a-z0-9])", text.split("\n", 2)[2])
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_image_has_the_tested_versions() -> None:
    tested = pinned_packages("requirements.lock")
    assert {
        name: tested.get(name) for name in pinned_packages("requirements-image.lock")
    } == pinned_packages("requirements-image.lock")


def test_the_lock_contains_all_dependencies_of_the_project() -> None:
    """This test fails if a dependency was added to pyproject.toml without `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {
        re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for lines in requirements for line in lines
    }
    missing = names - set(pinned_packages("requirements.lock"))
    assert missing == set(), "run `make lock`"
