"""What `tapewire nats-config` prints, and which declarations it refuses."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tapewire.cli import main
from tapewire.cli.nats_config.accounts import AccessClash, covers, overlap, remove_covered
from tapewire.cli.nats_config.declarations import service_accesses
from tapewire.log.jetstream.credentials import public_nkey
from tests.harness.nkeys import make_user_seed

KEY, OTHER_KEY = (public_nkey(make_user_seed().encode()) for _ in range(2))


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(main, ["nats-config", *args], env=env)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of event types of another team, named `team_of_test`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "team_of_test", raising=False)
    yield tmp_path / "team_of_test.py"
    sys.modules.pop("team_of_test", None)


def declare(package: Path, access: str) -> Result:
    package.write_text(f"NATS_ACCESS = {access}\n")
    return run(TAPEWIRE_EVENT_PACKAGES="team_of_test")


def test_the_user_of_another_package_may_do_what_it_declares(package: Path) -> None:
    result = declare(
        package,
        '{"name": "desk", "appends": ["desk"], "values": ["price.updated.v1"],'
        ' "requests": ["svc.alerts.send"], "durables": {"hedge@desk": "ev.*.trades.>"}}',
    )
    assert result.exit_code == 0, result.stderr
    section = result.stdout.partition('  "desk" {')[2]
    for subject in ("ev.*.desk.*", "val.*.price%2Eupdated%2Ev1.*", "svc.alerts.send",
                    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.hedge@desk"):  # fmt: skip
        assert f'"{subject}"' in section
    assert "$NATS_DESK_PASSWORD" in section
    assert "ev.*.orders" not in section


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ('{"name": "desk", "appends": ["trades"]}', "only orders stores ev.*.trades.*"),
        ('{"name": "desk", "stores": ["ev.>"]}', "which ev.> overlaps"),
        ('{"name": "desk", "stores": ["ev.*.*.x"]}', "which ev.*.*.x overlaps"),
        ('{"name": "desk", "stores": ["px.IBM"]}', "only prices stores px.*"),
        ('{"name": "desk", "stores": ["$KV.sessions.x"]}', "only edge stores $KV.sessions.*"),
        ('{"name": "desk", "stores": ["parked.>"]}', "only alerts stores parked."),
        ('{"name": "desk", "durables": {"orders-view": "ev.>"}}', "must be NAME@CLIENT"),
        ('{"name": "desk", "durables": {"a.b@c": "ev.>"}}', "must be NAME@CLIENT"),
        ('{"name": "desk", "answers": True}', "only services of Tapewire answer"),
        ('{"name": "orders", "appends": ["desk"]}', "two users have the name 'orders'"),
        ('{"name": "admin", "appends": ["desk"]}', "two users have the name 'admin'"),
        ('{"name": "De sk", "appends": ["desk"]}', "'De sk' must match"),
        ('{"name": "desk", "values": ["desk.rate"]}', "no type has the tag 'desk.rate'"),
        ('{"name": "desk", "apends": ["desk"]}', "unknown field `apends`"),
        ('{"name": "desk", "appends": "desk"}', "$.appends"),
    ],
)
def test_a_declaration_that_takes_what_is_not_its_own_is_refused(
    package: Path, access: str, message: str
) -> None:
    result = declare(package, access)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_team_may_write_to_the_domains_that_are_open_to_all(package: Path) -> None:
    result = declare(package, '{"name": "desk", "appends": ["reports", "decisions", "alerts"]}')
    assert result.exit_code == 0, result.stderr


def test_a_user_may_have_several_keys_in_place_of_a_password() -> None:
    result = run("--nkey", f"orders={KEY}", "--nkey", f"orders={OTHER_KEY}")
    assert result.exit_code == 0
    assert f'{{ nkey: "{KEY}", permissions' in result.stdout
    assert f'{{ nkey: "{OTHER_KEY}", permissions' in result.stdout
    assert "$NATS_ORDERS_PASSWORD" not in result.stdout
    assert "$NATS_EDGE_PASSWORD" in result.stdout


@pytest.mark.parametrize(
    "given",
    ["orders", "orders=SUABC", f"nobody={KEY}", f"orders={KEY[:-1]}"],
    # The keys are random, and the processes of a test run compare the names of tests.
    ids=["no key", "no public key", "unknown user", "a character short"],
)
def test_a_malformed_key_or_an_unknown_user_is_refused(given: str) -> None:
    assert run("--nkey", given).exit_code == 2


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("ev.*.orders.*", "ev.alice.*.1", True),
        ("ev.*.orders.*", "ev.*.trades.*", False),
        ("ev.>", "ev.a.b.c", True),
        ("ev.*", "ev.a.b", False),
        ("view.*.orders", "view._all.book", False),
    ],
)
def test_overlapping_filters_are_found(one: str, other: str, common: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is common


def test_a_subject_that_another_covers_is_imported_once() -> None:
    """Of two imports that match, the server would store a message twice."""
    assert remove_covered(["view._all.x", "view.*.x", "view.*.x"], "me") == ["view.*.x"]
    assert covers("ev.>", "ev.*.a.>")
    assert not covers("ev.*.a.*", "ev.*.a.>")
    with pytest.raises(AccessClash, match="overlap"):
        remove_covered(["ev.a.*", "ev.*.b"], "me")


def test_no_service_declares_an_administration_of_streams() -> None:
    verbs = ("CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE")
    for access in service_accesses():
        for subject in (*access.api_subjects(), *access.stored_subjects(), *access.requests):
            assert not any(f".{verb}" in subject for verb in verbs), (access.name, subject)
            assert not subject.startswith((">", "*", "$JS.API.>", "$JS.API.*"))
