"""Log lines: structlog, as JSON for machines or coloured for a console, with secrets masked.

Whatever a line is given, keys that name a secret are redacted and e-mail addresses and telephone
numbers are masked. The correlation id of the work in hand is on every line (`correlated`).
"""

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

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
      ("[^"]{0,1000}"|'[^']{0,1000}'|[^\s&;,"'}]+)
    """
)
"""What a header, a token, the credentials of a URL, a query or JSON look like within a text. All of
these take time in proportion to a text, which can be 64 KB of a client's making."""
_EMAIL = re.compile(r"(?i)(?<![\w.+-])([\w.+-])[\w.+-]*(?:@|%40)([\w-])[\w.-]*\.(\w+)\b")
_EMAIL_IN_SUBJECT = re.compile(
    r"(?i)(?<![\w%-])([\w-])(?:[\w-]|%2[BDE])*%40([\w-])(?:[\w-]|%2[DE])*%2E([\w-]+)"
)
"""There dots and @ are quoted, and plain dots part the subject's tokens."""
_INTERNATIONAL = re.compile(r"(?i)(?:\+|%2B)\d[\d ()-]{7,14}\d")
_NATIONAL = re.compile(r"(?<![\w.-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)")
_PHONE = re.compile(r"(?<![\w.:-])\+?\d[\d ()-]{7,14}\d(?![\w.:-])")
"""Any number of digits: where the key says that it is one."""
_PHONE_KEYS = re.compile(r"(phone|mobile|tel)", re.I)

REDACTED = "[redacted]"


def configure_logging(service: str, *, format_: str, level: str) -> None:
    """Let every logger of the process, ours or a library's, write one line an event to stderr."""
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
    # A traceback becomes text here, and not in the renderer: there it would come after the masking,
    # and with the local variables, among them the headers of a request with its session.
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
    for chatty in ("httpx", "httpcore", "nats"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def configure_embedded_logging() -> None:
    """In a program that is not ours: let our lines go to the standard `logging`, under the names
    ``tapewire.…``, with secrets masked. Nothing is done where the program configured structlog."""
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
    """Put `correlation` (and `more`) on every log line of the block, across its tasks."""
    with structlog.contextvars.bound_contextvars(correlation=correlation, **more):
        yield


def mask_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The structlog processor that keeps secrets out of a line."""
    for key, value in event.items():
        event[key] = mask(value, key)
    return event


def mask(value: Any, key: str = "") -> Any:
    """`value` without secrets: redacted whole when `key` names one, masked within otherwise."""
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
    # What a renderer would print of anything else, an error or bytes, can hold all of it too.
    return _mask_text(repr(value), key)


def _mask_text(text: str, key: str) -> str:
    if key in ("timestamp", "correlation", "level", "service"):
        return text
    text = _SECRET_TEXT.sub(REDACTED, text)
    for email in (_EMAIL_IN_SUBJECT, _EMAIL):
        text = email.sub(r"\1***@\2***.\3", text)
    for phone in (_INTERNATIONAL, _NATIONAL, *([_PHONE] if _PHONE_KEYS.search(key) else ())):
        text = phone.sub(lambda found: f"***{found.group()[-2:]}", text)
    return text
