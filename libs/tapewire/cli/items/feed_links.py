"""Makes the links of feeds absolute, and writes international ones in ASCII (RFC 3987, 3.1)."""

import re
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

_ASCII_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
"""The characters of RFC 3986."""
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"
_QUERY_CHARACTERS = f"{_PATH_CHARACTERS}?"


class UnusableLink(ValueError):
    """The link is not an http or https URL, or is relative and there is no base."""


def resolve_link(link: str, base: str) -> str:
    """Return `link` as an absolute ASCII URL.

    Args:
        link: An absolute or relative reference, with any characters.
        base: The URL that it is relative to, or "".

    Raises:
        UnusableLink: It is no address of a web page.
    """
    text = "".join(link.split("\n")).strip()
    try:
        url = urljoin(base, text)
        if url.startswith("//"):
            url = f"https:{url}"
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UnusableLink(f"is no address ({error})") from error
    if parts.scheme not in ("http", "https"):
        kind = f"is {parts.scheme}:, not http or https" if parts.scheme else "is relative"
        raise UnusableLink(kind if parts.scheme else f"{kind}, and the feed names no address")
    if not host:
        raise UnusableLink("names no host")
    if _ASCII_URL.fullmatch(url):
        return url
    credentials = parts.netloc.rpartition("@")[0]
    return urlunsplit(
        (
            parts.scheme,
            (f"{quote(credentials, safe=':%')}@" if credentials else "")
            + _encode_host(host)
            + ("" if port is None else f":{port}"),
            _encode(parts.path, _PATH_CHARACTERS),
            _encode(parts.query, _QUERY_CHARACTERS),
            _encode(parts.fragment, _QUERY_CHARACTERS),
        )
    )


def _encode(text: str, safe: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=safe)


def _encode_host(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise UnusableLink(f"has a host that is no name ({error})") from error
