"""Reads the figures of an edge: `/metrics`, and `/api/stream/metrics` with the users for admins."""

import re
from collections.abc import Iterator

import httpx
import msgspec

from tapewire.cli.top.samples import EdgeFigures

TIMEOUT_SECONDS = 2.0
SESSION_COOKIE = "session"
USER = "tapewire-top"
_LINE = re.compile(r'(?P<name>\w+)(?:\{\w+="(?P<label>[^"]*)"\})? (?P<value>\S+)')


class EdgeUnreachable(Exception):
    """The edge does not answer, or not with figures. The message says which, in a few words."""


class _ClientCount(msgspec.Struct, rename="camel"):
    user_id: str
    client_count: int


class _Counts(msgspec.Struct, rename="camel"):
    total_clients: int
    total_users: int
    clients_per_user: list[_ClientCount] | None = None


class EdgeReader:
    """Reads the figures of the edge at `url`.

    Args:
        session: The cookie of an admin's session.
        may_sign_in: Sign in as an admin by the development sign-in, if it is on.
    """

    def __init__(self, url: str, *, session: str | None, may_sign_in: bool) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._may_sign_in = may_sign_in and session is None
        if session:
            self._client.cookies.set(SESSION_COOKIE, session.removeprefix(f"{SESSION_COOKIE}="))

    async def read(self) -> EdgeFigures:
        """Raises EdgeUnreachable."""
        try:
            metrics = await self._client.get("/metrics")
            counts = await self._read_counts()
            metrics.raise_for_status()
            return build_figures(metrics.text, counts)
        except httpx.HTTPStatusError as error:
            raise EdgeUnreachable(f"the edge answers {error.response.status_code}") from error
        except (httpx.HTTPError, OSError) as error:
            url = self._client.base_url
            reason = f"the edge at {url} does not answer ({type(error).__name__})"
            raise EdgeUnreachable(reason) from error
        except (msgspec.DecodeError, ValueError, KeyError) as error:
            url = self._client.base_url
            raise EdgeUnreachable(f"{url} answers, but is no Tapewire edge") from error

    async def _read_counts(self) -> _Counts:
        counts = await self._get_counts()
        if counts.clients_per_user is None and self._may_sign_in:
            body = {"userId": USER, "roles": ["admin"]}
            signed_in = await self._client.post("/api/session", json=body)
            self._may_sign_in = signed_in.status_code not in (403, 404)
            if signed_in.is_success:
                counts = await self._get_counts()
        return counts

    async def _get_counts(self) -> _Counts:
        response = await self._client.get("/api/stream/metrics")
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._client.cookies.clear()
            response = await self._client.get("/api/stream/metrics")
        response.raise_for_status()
        return msgspec.json.decode(response.content, type=_Counts)

    async def close(self) -> None:
        await self._client.aclose()


def build_figures(metrics: str, counts: _Counts) -> EdgeFigures:
    """Raises KeyError or ValueError if `metrics`, in Prometheus's text format, lacks a figure."""
    values: dict[tuple[str, str | None], float] = {
        (name, label): value for name, label, value in parse_metrics(metrics)
    }

    def read(name: str) -> int:
        return int(values[f"tapewire_{name}", None])

    def read_labels(name: str) -> dict[str, int]:
        return {
            label: int(value)
            for (found, label), value in values.items()
            if found == f"tapewire_{name}" and label is not None
        }

    users = counts.clients_per_user
    return EdgeFigures(
        connections=read("connections"),
        live=read("connections_live"),
        everywhere=counts.total_clients,
        user_count=counts.total_users,
        outbox_bytes=read("outbox_bytes"),
        repairs=read("tape_repairs_total"),
        closed=read_labels("connections_closed_total"),
        streams=read_labels("stream_connections"),
        users=None if users is None else {each.user_id: each.client_count for each in users},
    )


def parse_metrics(text: str) -> Iterator[tuple[str, str | None, float]]:
    """The name, the value of the only label, and the value of every sample."""
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            yield found["name"], found["label"], float(found["value"])
