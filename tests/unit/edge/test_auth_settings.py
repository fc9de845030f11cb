"""Invalid settings of authentication fail at startup with the name of the variable."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.runtime import BadSetting, Settings
from tapewire_services.edge.auth import (
    SessionStore,
    TicketStore,
    build_authenticator,
    parse_networks_setting,
)
from tapewire_services.edge.auth.authenticator import Authenticator


def opened(**settings: Any) -> Authenticator | None:
    now = lambda: datetime.now(UTC)  # noqa: E731
    values = MemoryLatestValueStore(MemoryServer())
    return build_authenticator(
        Settings(**settings),
        session_store=SessionStore(values, now, 1),
        ticket_store=TicketStore(values, now, 30),
        now=now,
        clock=lambda: 0.0,
        on_stop=lambda _: None,
    )


@pytest.mark.parametrize("content", [None, b"{}", b"", b'{"keys":[]}'])
async def test_a_jwks_file_without_keys_is_rejected(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "jwks.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSetting, match=r"TAPEWIRE_JWT_JWKS='.*jwks\.json': "):
        opened(jwt_jwks=str(file))


async def test_a_same_site_none_cookie_must_be_secure() -> None:
    with pytest.raises(BadSetting, match="TAPEWIRE_COOKIE_SAME_SITE='none'"):
        opened(cookie_same_site="none", cookie_secure=False)
    assert opened(cookie_same_site="none")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example", "", "10.0.0.0-9"])
async def test_a_malformed_network_is_rejected(text: str) -> None:
    with pytest.raises(BadSetting, match="TAPEWIRE_USER_HEADER_FROM='"):
        opened(user_header_from=("10.0.0.0/8", text))
    with pytest.raises(BadSetting, match="TAPEWIRE_TRUSTED_PROXIES='"):
        parse_networks_setting((text,), "TAPEWIRE_TRUSTED_PROXIES")
