"""The accounts, users and permissions of the message server, from the services' declarations.

Every user has an account of its own. JetStream is in the account ``JETSTREAM``, from which the
others import exactly the subjects that they may store messages under and the parts of its API that
they use. Two rules follow, and neither depends on the other:

- A user publishes and subscribes only to what its permissions list.
- What leaves an account is what the account imports. The server sends a reply into the account of
  whoever asked, so a request with the reply subject ``ev.alice.trades.1`` cannot make the server
  store its own answer as a trade.

Start at `render_accounts`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tapewire.log import matches
from tapewire.log.jetstream.streams import stream_specs
from tapewire.runtime.nats_access import JETSTREAM_ACCOUNT, USER_INFO_SUBJECT, NatsAccess

ADMIN = "admin"
"""The user of `tapewire provision`: may do everything with the streams."""

THRESHOLD = "30s"
"""How long the server keeps the way back of a request: longer than any request waits."""
REFUSED = "refused.>"
"""Where requests to JetStream's API go that an account has no import for: nobody answers there.
Without this import the server would answer them with the state of the user's own account, in which
JetStream is off, even those that the account imports."""
INDENT = "  "

Secrets = Callable[[str], Sequence[Mapping[str, str]]]
"""The credentials of a user, by its name: one or several of ``{"password": …}`` or ``{"nkey": …}``,
each value as it stands in the file."""


class AccessClash(ValueError):
    """Two declarations contradict each other. The message names them and the subject."""


class _Import(msgspec.Struct, frozen=True):
    account: str
    subject: str
    local: str = ""


def quote(text: str) -> str:
    """A string for the configuration, which has JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)


def render_accounts(accesses: Sequence[NatsAccess], secrets: Secrets) -> str:
    """The section ``accounts`` for the users of `accesses`, and for `ADMIN`.

    Raises:
        AccessClash: two of them have one name, or ask for subjects that overlap.
    """
    names = [access.name for access in accesses]
    for name in (*names, ADMIN, JETSTREAM_ACCOUNT):
        if [*names, ADMIN, JETSTREAM_ACCOUNT].count(name) > 1:
            raise AccessClash(f"two users have the name {name!r}")
    answering = [access.name for access in accesses if access.answers]
    sections = [_render_jetstream_account(answering, secrets)]
    sections += [_render_account(access, answering, secrets) for access in accesses]
    return "accounts {\n" + "\n".join(sections) + "\n}\n"


def _render_jetstream_account(answering: Iterable[str], secrets: Secrets) -> str:
    stored = sorted({subject for spec in stream_specs() for subject in spec.required["subjects"]})
    exports = [_service_export(subject) for subject in stored]
    exports += [
        _service_export("$JS.API.>", response="stream"),
        _service_export("$JS.ACK.>"),
        _service_export(REFUSED),
        '{ stream: "live.>" }',
    ]
    imports = [_service_import(_Import(name, f"svc.{name}.>")) for name in answering]
    users = [_user(ADMIN, credentials, ()) for credentials in secrets(ADMIN)]
    lines = ["jetstream: enabled", *_list("users", users)]
    lines += [*_list("exports", exports), *_list("imports", imports)]
    return _block(JETSTREAM_ACCOUNT, lines)


def _render_account(access: NatsAccess, answering: Sequence[str], secrets: Secrets) -> str:
    imports = [_service_import(_Import(JETSTREAM_ACCOUNT, REFUSED, "$JS.API.>"))]
    imported = [*access.stored_subjects(), *access.api_subjects()]
    imports += [
        _service_import(_Import(JETSTREAM_ACCOUNT, subject))
        for subject in remove_covered(imported, access.name)
    ]
    for subject in access.request_subjects():
        imports += [
            _service_import(_Import(name, subject.replace("*", name)))
            for name in answering
            if subject.split(".")[1] in ("*", name) and name != access.name
        ]
    if access.receives:
        # One import for all: the server delivers a message once for each import that matches.
        # The user's permissions limit what it subscribes to.
        imports.append(f'{{ stream: {{ account: {JETSTREAM_ACCOUNT}, subject: "live.>" }} }}')
    # A request is acknowledged before it is answered, so a service sends several responses.
    exports = [_service_export(f"svc.{access.name}.>", response="stream")] if access.answers else []
    permissions = _permissions(access)
    users = [_user(access.name, credentials, permissions) for credentials in secrets(access.name)]
    lines = [*_list("users", users), *_list("exports", exports), *_list("imports", imports)]
    return _block(quote(access.name), lines)


def _permissions(access: NatsAccess) -> list[str]:
    publish = [*access.stored_subjects(), *access.api_subjects(), *access.request_subjects()]
    subscribe = ["_INBOX.>", *access.received_subjects(), *access.shares]
    publish += [*access.shares, USER_INFO_SUBJECT]
    if access.answers:
        # A service asks itself whether its subscriptions have arrived (nats.micro).
        publish.append(f"$SRV.PING.{access.name}.*")
        subscribe += [f"svc.{access.name}.>", "$SRV.>"]
    lines = [*_list("publish: { allow", publish, "}"), *_list("subscribe: { allow", subscribe, "}")]
    if access.answers:
        lines.append('allow_responses: { max: 2, expires: "2m" }')
    return lines


def remove_covered(subjects: Iterable[str], name: str) -> list[str]:
    """`subjects` without those that another one covers: of two imports that match one message, the
    server would store the message twice.

    Raises:
        AccessClash: two overlap, and neither covers the other.
    """
    wanted = list(dict.fromkeys(subjects))
    found: list[str] = []
    for subject in wanted:
        others = [other for other in wanted if other != subject and overlap(other, subject)]
        if any(covers(other, subject) for other in others):
            continue
        if any(not covers(subject, other) for other in others):
            raise AccessClash(f"{name}: {subject} and {others[0]} overlap; declare one of them")
        found.append(subject)
    return found


def covers(filter_: str, subject: str) -> bool:
    """Whether every subject that `subject`, a filter itself, matches is matched by `filter_`."""
    probe = subject.replace("*", "\x00")
    if probe.endswith(">"):
        return filter_.endswith(">") and matches(filter_, f"{probe[:-1]}\x00.\x00")
    return matches(filter_, probe)


def overlap(one: str, other: str) -> bool:
    """Whether some subject matches both filters."""
    left, right = one.split("."), other.split(".")
    for mine, theirs in zip(left, right, strict=False):
        if ">" in (mine, theirs):
            return True
        if "*" not in (mine, theirs) and mine != theirs:
            return False
    return len(left) == len(right)


def _service_export(subject: str, *, response: str = "") -> str:
    kind = f", response: {response}" if response else ""
    return f"{{ service: {quote(subject)}{kind}, threshold: {quote(THRESHOLD)} }}"


def _service_import(given: _Import) -> str:
    account = given.account if given.account == JETSTREAM_ACCOUNT else quote(given.account)
    local = f", to: {quote(given.local)}" if given.local else ""
    return f"{{ service: {{ account: {account}, subject: {quote(given.subject)} }}{local} }}"


def _user(name: str, credentials: Mapping[str, str], permissions: Sequence[str]) -> str:
    """A user. With an nkey, the key is the user's name."""
    who = {} if "nkey" in credentials else {"user": quote(name)}
    head = ", ".join(f"{key}: {value}" for key, value in (who | dict(credentials)).items())
    if not permissions:
        return f"{{ {head} }}"
    body = "\n".join(f"{INDENT}{line}" for line in permissions)
    return f"{{ {head}, permissions: {{\n{body}\n}} }}"


def _list(name: str, items: Sequence[str], end: str = "") -> list[str]:
    if not items:
        return []
    quoted = [item if item.startswith("{") else quote(item) for item in items]
    body = [f"{INDENT}{line}" for item in quoted for line in item.split("\n")]
    return [f"{name}: [", *body, f"] {end}".rstrip()]


def _block(name: str, lines: Sequence[str]) -> str:
    body = "\n".join(f"{INDENT * 2}{line}" for line in lines)
    return f"{INDENT}{name} {{\n{body}\n{INDENT}}}"
