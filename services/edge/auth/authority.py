"""The host and scheme by which a browser reached the edge, and what follows for a request.

`RequestAuthority.of` reads them from a request; headers of proxies count only when the proxy is
trusted. `cross_origin_header` finds requests that a page of another origin sent, and
`RequestAuthority.is_rebinding_safe` the host names that an attacker's DNS server may have chosen.
Pure.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from tapewire_services.edge.auth.addresses import Networks, is_in_networks, parse_address

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}

HeaderValues = Mapping[str, Sequence[str]]
"""The values of each header, by its name in lower case."""


class InvalidHost(ValueError):
    """The ``Host`` header is missing, occurs more than once, or is no host and port."""

    def __init__(self, message: str, value: str | None = None) -> None:
        super().__init__(message)
        self.value = value


class RequestAuthority(msgspec.Struct, frozen=True):
    """The host, port and scheme of a request's URL, as its client sees them.

    `host` is None for an HTTP/1.0 request without a ``Host``. A request that is not known to have
    come over HTTPS may have: a proxy in front that is not trusted cannot say so.
    """

    host: str | None = None
    port: str | None = None
    is_https: bool = False

    @classmethod
    def of(
        cls,
        headers: HeaderValues,
        *,
        scheme: str,
        peer_address: str | None,
        http_version: str,
        trusted_proxies: Networks,
    ) -> "RequestAuthority":
        """The authority of a request. `scheme` is the scheme of the connection.

        Raises:
            InvalidHost: the ``Host`` header breaks RFC 9112, 3.2.
        """
        hosts = headers.get("host", ())
        if len(hosts) > 1:
            raise InvalidHost(f"it occurs {len(hosts)} times", ", ".join(hosts))
        if not hosts and http_version != "1.0":
            raise InvalidHost(f"HTTP/{http_version} requires it")
        host = hosts[0] if hosts else None
        if is_in_networks(parse_address(peer_address), trusted_proxies):
            host = _last_element(headers.get("x-forwarded-host")) or host
            scheme = _last_element(headers.get("x-forwarded-proto")) or scheme
        if host is None:
            return cls(is_https=scheme == "https")
        if not (parts := _HOST.fullmatch(host)):
            raise InvalidHost("it is no host and port", host)
        return cls(parts[1].lower(), parts[2], scheme.lower() == "https")

    @property
    def is_loopback(self) -> bool:
        """Whether the host is a name or an address of the client's own machine."""
        if self.host is None:
            return False
        address = parse_address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    def is_rebinding_safe(self, origins: Collection[str]) -> bool:
        """Whether no stranger's DNS entry can have led a browser here: the host is on this machine,
        an address, or the host of one of `origins`."""
        if self.host is None or self.is_loopback:
            return True
        return _is_address(self.host) or self.host in {urlsplit(each).hostname for each in origins}

    def origins(self) -> list[str]:
        """The origins that pages of this very URL have. Over a connection that is not known to be
        HTTPS that is either scheme, because a proxy may have ended TLS."""
        schemes = ("https",) if self.is_https else ("http", "https")
        return [] if self.host is None else [self._origin(scheme) for scheme in schemes]

    def _origin(self, scheme: str) -> str:
        port = "" if self.port in (None, _DEFAULT_PORTS[scheme]) else f":{self.port}"
        return f"{scheme}://{self.host}{port}"


def cross_origin_header(
    headers: HeaderValues, authority: RequestAuthority, allowed_origins: Collection[str]
) -> tuple[str, str] | None:
    """The header that shows that a page of another origin sent the request, and its value. None for
    a request of our own pages, of one of `allowed_origins`, or of no page.

    Browsers send ``Origin`` with every request that changes something. ``Sec-Fetch-Site`` and
    ``Referer`` are for those that leave it out. A request with none of them was not sent by a
    browser for a page.
    """
    for name, is_ours in (
        ("Origin", partial(_is_accepted, authority, allowed_origins)),
        ("Sec-Fetch-Site", frozenset({"same-origin", "none"}).__contains__),
        ("Referer", lambda url: _is_accepted(authority, allowed_origins, _origin_of(url))),
    ):
        if values := headers.get(name.lower()):
            return next(((name, value) for value in values if not is_ours(value)), None)
    return None


def _is_accepted(
    authority: RequestAuthority, allowed_origins: Collection[str], origin: str
) -> bool:
    return origin in authority.origins() or (origin in allowed_origins and origin != "*")


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def _last_element(values: Sequence[str] | None) -> str | None:
    """The last element of a header that proxies append to: the one of the nearest proxy."""
    return (values[-1].rpartition(",")[2].strip() or None) if values else None


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
