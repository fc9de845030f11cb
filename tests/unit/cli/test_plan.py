"""What `up` starts, in which order, with which environment."""

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


def test_each_stage_stands_on_the_ones_before() -> None:
    names = [[part.name for part in stage] for stage in stages(UpOptions(workers=2))]
    assert names == [
        ["nats"],
        ["prices"],
        ["orders"],
        ["positions", "strategies", "alerts", "insights"],
        ["edge-0", "edge-1"],
    ]


def test_with_a_server_of_others_none_is_started() -> None:
    options = UpOptions(nats="nats://there:4222")
    names = [[part.name for part in stage] for stage in stages(options, nats=None)]
    third = ["positions", "strategies", "alerts", "insights"]
    assert names == [["prices"], ["orders"], third, ["edge-0"]]
    assert plan.process_names(options) == [name for stage in names for name in stage]


def test_every_service_holds_the_lock_and_the_edge_the_socket() -> None:
    _, *services, edge = (stage[0] for stage in stages(UpOptions()))
    assert all(part.inherited_fds == (5,) for part in services)
    assert edge.inherited_fds == (5, 7)
    assert edge.env == {"A": "b", "TAPEWIRE_LISTEN_FD": "7"}
    assert edge.argv == (sys.executable, "-P", "-m", "tapewire_services.edge")
    assert edge.stop_timeout_seconds > 3


def test_options_become_settings() -> None:
    told = plan.build_environment(
        UpOptions(port=0, feed=Path("/tape.csv.gz"), speed=20, nats="nats://a,nats://b"), {}
    )
    settings = Settings.from_env(told)
    assert settings.port == 0
    assert settings.feed == "/tape.csv.gz"
    assert settings.feed_speed == 20
    assert settings.nats_url == "nats://a,nats://b"
    assert settings.sign_in
    assert not settings.cookie_secure


def test_a_developer_may_connect_as_often_as_he_likes_unless_he_says_otherwise() -> None:
    def rate(environ: dict[str, str]) -> int:
        return Settings.from_env(plan.build_environment(UpOptions(), environ)).connect_rate

    assert Settings().connect_rate == 60
    assert rate({}) == plan.CONNECTS_PER_MINUTE
    assert rate({"SSE_CONNECT_RATE": "5"}) == 5


def test_what_has_no_option_comes_from_the_environment() -> None:
    environ = {"TAPEWIRE_FEED": "tape.csv", "TAPEWIRE_PORT": "9000", "SSE_FLUSH_MS": "5"}
    settings = Settings.from_env(plan.build_environment(UpOptions(), environ))
    assert settings.feed == "tape.csv"
    assert settings.port == 9000
    assert settings.flush_ms == 5


def test_what_one_machine_cannot_have_is_not_asked_of_it() -> None:
    environ = {"TAPEWIRE_REPLICAS": "3", "TAPEWIRE_HEALTH_PORT": "9000"}
    settings = Settings.from_env(plan.build_environment(UpOptions(), environ))
    assert settings.replicas == 1
    assert settings.health_port == 0
    shared = Settings.from_env(plan.build_environment(UpOptions(nats="nats://cluster"), environ))
    assert shared.replicas == 3


def test_a_feed_is_found_from_wherever_a_service_runs() -> None:
    told = plan.build_environment(UpOptions(feed=Path("tape.csv")), {})
    assert told["TAPEWIRE_FEED"] == str(Path.cwd() / "tape.csv")


def test_the_welcome_can_be_typed_in() -> None:
    text = plan.format_welcome(
        "http://127.0.0.1:8000", nats_url="nats://x", data_dir=Path("/a b"), sign_in=True
    )
    assert "curl -N 'http://127.0.0.1:8000/api/stream/prices?symbols=IBM,SPY'" in text
    assert "curl -c '/a b/cookies'" in text
    assert "tail orders --user alice --url http://127.0.0.1:8000" in text


def test_without_the_development_sign_in_the_welcome_does_not_offer_it() -> None:
    text = plan.format_welcome("http://x", nats_url="nats://x", data_dir=Path("/d"), sign_in=False)
    assert "sign in" not in text
    assert "/api/session" not in text
