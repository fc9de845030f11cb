"""The settings of the FIX broker, and the messages about bad ones."""

from datetime import datetime

import pytest

from fix_broker.settings import read_settings
from tapewire.brokers import BadSetting
from tests.unit.fix_broker.builders import ENVIRONMENT, fix_settings


def test_defaults() -> None:
    settings = fix_settings()
    assert (settings.host, settings.port, settings.is_tls) == ("127.0.0.1", 9876, False)
    assert (settings.max_order_age_seconds, settings.password) == (60, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "fix"),
        ("HEARTBEAT_SECONDS", "-1"),
        ("HEARTBEAT_SECONDS", "1.5"),
        ("SENDER_COMP_ID", "A\x01B"),
        ("TARGET_COMP_ID", "Bücher"),
        ("TLS", "perhaps"),
        ("RESET_ON_LOGON", "Y"),
        ("DAY_START", "24:00"),
        ("DAY_START", "7:00"),
        ("DAY_START", "22:00:00"),
    ],
)
def test_an_impossible_value_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        fix_settings(**{name: value})
    assert str(caught.value).startswith(f"TAPEWIRE_FIX_{name}: ")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("start", "at", "day"),
    [
        ("00:00", "2013-10-07T00:00", "2013-10-07"),
        ("22:00", "2013-10-07T21:59:59.999999", "2013-10-06"),
        ("22:00", "2013-10-07T22:00", "2013-10-07"),
        ("", "2013-10-07T22:00", None),
    ],
)
def test_a_trading_day_begins_at_its_start(start: str, at: str, day: str | None) -> None:
    settings = fix_settings(DAY_START=start)
    assert settings.day_of(datetime.fromisoformat(at)) == day


@pytest.mark.parametrize("name", ["PORT", "SENDER_COMP_ID", "TARGET_COMP_ID"])
def test_a_missing_setting_is_named(name: str) -> None:
    environment = {key: ENVIRONMENT[key] for key in ENVIRONMENT if not key.endswith(name)}
    with pytest.raises(BadSetting, match=f"TAPEWIRE_FIX_{name}: it must be set"):
        read_settings(environment)
