"""The settings of the adapter, from the environment."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta

import msgspec

from tapewire.brokers import BadSetting, remember_secret


class FixSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the venue is, who speaks, and how long things may take."""

    host: str
    port: int
    sender_comp_id: str
    target_comp_id: str
    username: str | None
    password: str | None
    account: str | None
    is_tls: bool
    resets_on_logon: bool
    day_start: time | None
    heartbeat_seconds: int
    max_order_age_seconds: int

    def day_of(self, at: datetime) -> str | None:
        """The venue's trading day at the UTC time `at`; None if the venue keeps its numbers."""
        if self.day_start is None:
            return None
        day = at.date() if at.time() >= self.day_start else at.date() - timedelta(days=1)
        return day.isoformat()


def read_settings(environment: Mapping[str, str]) -> FixSettings:
    """The settings in `environment`. The password is kept out of the logs.

    Raises:
        BadSetting: a setting is missing or has an impossible value.
    """
    password = environment.get("TAPEWIRE_FIX_PASSWORD") or None
    if password is not None:
        remember_secret(password)
    return FixSettings(
        host=_text(environment, "TAPEWIRE_FIX_HOST", "127.0.0.1"),
        port=_number(environment, "TAPEWIRE_FIX_PORT", None, 1, 65_535),
        sender_comp_id=_text(environment, "TAPEWIRE_FIX_SENDER_COMP_ID", None),
        target_comp_id=_text(environment, "TAPEWIRE_FIX_TARGET_COMP_ID", None),
        username=environment.get("TAPEWIRE_FIX_USERNAME") or None,
        password=password,
        account=environment.get("TAPEWIRE_FIX_ACCOUNT") or None,
        is_tls=_flag(environment, "TAPEWIRE_FIX_TLS"),
        resets_on_logon=_flag(environment, "TAPEWIRE_FIX_RESET_ON_LOGON"),
        day_start=_time(environment, "TAPEWIRE_FIX_DAY_START"),
        heartbeat_seconds=_number(environment, "TAPEWIRE_FIX_HEARTBEAT_SECONDS", 30, 1, 3600),
        max_order_age_seconds=_number(
            environment, "TAPEWIRE_FIX_MAX_ORDER_AGE_SECONDS", 60, 1, 86_400
        ),
    )


def _text(environment: Mapping[str, str], name: str, default: str | None) -> str:
    value = environment.get(name) or default
    if value is None:
        raise BadSetting(f"{name}: it must be set")
    if not value.isprintable() or not value.isascii():
        raise BadSetting(f"{name}: must be printable ASCII, not {value!r}")
    return value


def _number(
    environment: Mapping[str, str], name: str, default: int | None, minimum: int, maximum: int
) -> int:
    value = environment.get(name) or (None if default is None else str(default))
    if value is None:
        raise BadSetting(f"{name}: it must be set")
    number = int(value) if value.isascii() and value.isdigit() else -1
    if not minimum <= number <= maximum:
        message = f"{name}: must be a whole number from {minimum} to {maximum}"
        raise BadSetting(f"{message}, not {value!r}")
    return number


def _flag(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name) or "false"
    if value.lower() not in ("true", "false"):
        raise BadSetting(f"{name}: must be true or false, not {value!r}")
    return value.lower() == "true"


def _time(environment: Mapping[str, str], name: str) -> time | None:
    value = environment.get(name)
    if not value:
        return None
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise BadSetting(f"{name}: must be a time as HH:MM, not {value!r}")
    return time.fromisoformat(value)
