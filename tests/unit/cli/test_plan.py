"""The processes that `up` starts, their order and their environment."""

import sys
from pathlib import Path

from tapewire.cli.up import plan
from tapewire.cli.up.child_process import ProcessSpec
from tapewire.cli.up.plan import UpOptions
from tapewire.runtime import Settings

NATS = ProcessSpec(name="nats", argv=("/bin/nats-server",), env={})


def stages(options: UpOptions, nats: ProcessSpec | None = NATS) -> list[list[ProcessSpec]]:
    return plan.build_stages(
        options, {"A": "b"}, nats=nats, listen_fd=7, lock_fd=5, drain_seconds=3
    )


def test_stages_start_services_after_their_dependencies() -> None:
    names = [[part.name for part in stage] for stage in stages(UpOptions(workers=2))]
    assert names == [
        ["nats"],
        ["prices"],
        ["orders"],
        ["positions", "strategies", "alerts", "insights"],
        ["edge-0", "edge-1"],
    ]


def test_no_nats_server_is_started_for_an_external_one() -> None:
    options = UpOptions(nats="nats://there:4222")
    names = [[part.name for part in stage] for stage in stages(options, nats=None)]
    third = ["positions", "strategies", "alerts", "insights"]
    assert names == [["prices"], ["orders"], third, ["edge-0"]]
    assert plan.process_names(options) == [name for stage in names for name in stage]


def test_services_inherit_the_lock_and_the_edge_the_socket() -> None:
    _, *services, edge = (stage[0] for stage in stages(UpOptions()))
    assert all(part.inherited_fds == (5,) for part in services)
    assert edge.inherited_fds == (5, 7)
    assert edge.env == {"A": "b", "TAPEWIRE_LISTEN_FD": "7"}
    assert edge.argv == (sys.executable, "-P", "-m", "tapewire_services.edge")
    assert edge.stop_timeout_seconds > 3


def test_options_become_settings() -> None:
    environment = plan.build_environment(
        UpOptions(port=0, feed=Path("/tape.csv.gz"), speed=20, nats="nats://a,nats://b"), {}
    )
    settings = Settings.from_env(environment)
    assert settings.port == 0
    assert settings.feed == "/tape.csv.gz"
    assert settings.feed_speed == 20
    assert settings.nats_url == "nats://a,nats://b"
    assert settings.sign_in
    assert not settings.cookie_secure


def test_rates_are_raised_unless_configured() -> None:
    def rates(environ: dict[str, str]) -> tuple[int, int]:
        settings = Settings.from_env(plan.build_environment(UpOptions(), environ))
        return settings.connect_rate, settings.call_rate

    assert (Settings().connect_rate, Settings().call_rate) == (60, 600)
    assert rates({}) == (plan.CONNECTS_PER_MINUTE, plan.CALLS_PER_MINUTE)
    assert rates({"SSE_CONNECT_RATE": "5", "TAPEWIRE_CALL_RATE": "6"}) == (5, 6)


def test_settings_without_an_option_come_from_the_environment() -> None:
    environ = {"TAPEWIRE_FEED": "tape.csv", "TAPEWIRE_PORT": "9000", "SSE_FLUSH_MS": "5"}
    settings = Settings.from_env(plan.build_environment(UpOptions(), environ))
    assert settings.feed == "tape.csv"
    assert settings.port == 9000
    assert settings.flush_ms == 5


def test_cluster_settings_are_overridden_on_one_machine() -> None:
    environ = {"TAPEWIRE_REPLICAS": "3", "TAPEWIRE_HEALTH_PORT": "9000"}
    settings = Settings.from_env(plan.build_environment(UpOptions(), environ))
    assert settings.replicas == 1
    assert settings.health_port == 0
    shared = Settings.from_env(plan.build_environment(UpOptions(nats="nats://cluster"), environ))
    assert shared.replicas == 3


def test_the_feed_path_is_made_absolute() -> None:
    environment = plan.build_environment(UpOptions(feed=Path("tape.csv")), {})
    assert environment["TAPEWIRE_FEED"] == str(Path.cwd() / "tape.csv")


def test_the_welcome_message_has_commands_that_can_be_pasted() -> None:
    text = plan.format_welcome(
        "http://127.0.0.1:8000", nats_url="nats://x", data_dir=Path("/a b"), sign_in=True
    )
    assert "curl -N 'http://127.0.0.1:8000/api/stream/prices?symbols=IBM,SPY'" in text
    assert "curl -c '/a b/cookies'" in text
    assert "tail orders --user alice --url http://127.0.0.1:8000" in text


def test_the_welcome_message_omits_a_disabled_sign_in() -> None:
    text = plan.format_welcome("http://x", nats_url="nats://x", data_dir=Path("/d"), sign_in=False)
    assert "sign in" not in text
    assert "/api/session" not in text
