"""Configures structlog: JSON lines for machines or coloured lines for a console, without secrets.

Values whose key names a secret are redacted; e-mail addresses and phone numbers are masked in any
value. The correlation id of the current work is on every line (`correlated`).
"""

import contextlib
import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import structlog

_SECRET_KEY = re.compile(
    r"(password|passwd|secret|token|ticket|cookie|authorization|api_?key|private_?key|session_?id)",
    re.I,
)
_SECRET_TEXT = re.compile(
    r"""(?ix) \b(bearer|basic)\s+[\w.~+/=-]+
    | (?<![\w-])eyJ[\w-]{5,}\.[\w.-]+
    | (?<=://)[^\s/@]+(?=@)
    | (session|token|ticket|password|passwd|secret|api[-_]?key)["']?(=|:\s{0,4})
      (?!["']?\[redacted\])("[^"]{0,1000}"|'[^']{0,1000}'|[^\s&;,"'}]+)
    """
)
"""Secrets within a text: a header, a token, credentials in a URL, a query or JSON. Every pattern
here runs in time proportional to the text, which may be 64 KB sent by a client."""
_EMAIL = re.compile(r"(?i)(?<![\w.+-])([\w.+-])[\w.+-]*(?:@|%40)([\w-])[\w.-]*\.(\w+)\b")
_EMAIL_IN_SUBJECT = re.compile(
    r"(?i)(?<![\w%-])([\w-])(?:[\w-]|%2[BDE])*%40([\w-])(?:[\w-]|%2[DE])*%2E([\w-]+)"
)
"""In a subject, the dots and the @ of an address are percent-encoded, and plain dots separate
tokens."""
_INTERNATIONAL = re.compile(r"(?i)(?:\+|%2B)\d[\d ()-]{7,14}\d")
_NATIONAL = re.compile(r"(?<![\w.-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)")
_PHONE = re.compile(r"(?<![\w.:-])\+?\d[\d ()-]{7,14}\d(?![\w.:-])")
"""Any long number, for values whose key says that they are phone numbers."""
_PHONE_KEYS = re.compile(r"(phone|mobile|tel)", re.I)

REDACTED = "[redacted]"

MIN_SECRET_CHARACTERS = 4
"""A shorter secret would make every line unreadable that happens to contain it."""

_known_secrets: list[str] = []
"""The secrets of this process's settings, files and options, which have no recognisable form. The
longest comes first, because one may contain another."""


def remember_secret(*values: str) -> None:
    """Redact these values from now on, wherever `mask` or `redact` meets them. Texts shorter than
    `MIN_SECRET_CHARACTERS` are ignored."""
    for value in values:
        for text in (value.strip(), unquote(value.strip())):
            if len(text) >= MIN_SECRET_CHARACTERS and text not in _known_secrets:
                _known_secrets.append(text)
    _known_secrets.sort(key=len, reverse=True)


def remember_url_secrets(urls: str) -> None:
    """Redact the passwords and tokens of `urls`, a comma-separated list of URLs, from now on.

    The list may be malformed: a password may contain commas, slashes or an @.
    """
    for part in [*re.split(r",(?=\w+://)", urls), *urls.split(",")]:
        userinfo = (part.partition("://")[2] or part).rpartition("@")[0]
        user, colon, password = userinfo.partition(":")
        remember_secret(*([password, *password.split(",")] if colon else [user]))


def print_masked_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A `sys.excepthook` that masks the traceback of an error that ends the process."""
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def configure_logging(service: str, *, format_: str, level: str) -> None:
    """Have all loggers of the process, those of libraries included, write one line per event to
    stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service(service),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if format_ == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    # Tracebacks are formatted here instead of in the renderer, which would do it after the masking
    # and with local variables, such as the headers of a request with its session.
    plain: list[structlog.typing.Processor] = [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *plain, mask_event, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *plain,
                mask_event,
                last,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for library in ("httpx", "httpcore", "nats"):
        logging.getLogger(library).setLevel(logging.WARNING)


def configure_embedded_logging() -> None:
    """Send log events to the standard `logging`, under ``tapewire.…`` and with secrets masked, for
    use inside another program. Has no effect if the program configured structlog itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            mask_event,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _add_service(service: str) -> structlog.typing.Processor:
    def add(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


@contextlib.contextmanager
def correlated(correlation: str, **more: str) -> Iterator[None]:
    """Add `correlation_id` and `more` to every log line of the block, across its tasks."""
    with structlog.contextvars.bound_contextvars(correlation_id=correlation, **more):
        yield


def mask_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The structlog processor that masks secrets."""
    for key, value in event.items():
        event[key] = mask(value, key)
    return event


def mask(value: Any, key: str = "") -> Any:
    """`value` without secrets: redacted if `key` names a secret, else masked."""
    if key and _SECRET_KEY.search(key):
        return REDACTED
    if isinstance(value, str):
        return _mask_text(value, key)
    if isinstance(value, dict):
        return {inner: mask(item, str(inner)) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(item, key) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    # The text that a renderer would print for other types, such as errors or bytes, may contain
    # secrets.
    return _mask_text(repr(value), key)


def redact(text: str) -> str:
    """`text` without secrets; personal data stays. For what a command prints to its user."""
    for secret in _known_secrets:
        if secret in text:
            text = text.replace(secret, REDACTED)
    return _SECRET_TEXT.sub(REDACTED, text)


def _mask_text(text: str, key: str) -> str:
    if key in ("timestamp", "correlation_id", "level", "service"):
        return text
    text = redact(text)
    for email in (_EMAIL_IN_SUBJECT, _EMAIL):
        text = email.sub(r"\1***@\2***.\3", text)
    for phone in (_INTERNATIONAL, _NATIONAL, *([_PHONE] if _PHONE_KEYS.search(key) else ())):
        text = phone.sub(lambda found: f"***{found.group()[-2:]}", text)
    return text
