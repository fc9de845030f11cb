"""What a setting is: a field of `Settings` with a description, read from an environment variable.

`setting` declares one, `parse` reads one. Start at `Setting`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import msgspec
from msgspec import Meta

from tapewire.runtime.logging_setup import mask, remember_secret, remember_url_secrets

_PREFIX = "TAPEWIRE_"
_URL_VARIABLES = {
    "TAPEWIRE_NATS_URL",
    "TAPEWIRE_JWT_JWKS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
}


class BadSetting(ValueError):
    """An environment variable has a bad value. The message names it, the value and what is
    allowed."""


def setting(description: str, env: str | None = None, choices: str = "", **bounds: Any) -> Meta:
    """The description of a setting. `choices` lists its values, separated by bars."""
    if choices:
        bounds["pattern"] = f"^({choices})$"
    return Meta(description=description, extra={"env": env, "choices": choices}, **bounds)


class Setting(msgspec.Struct, frozen=True):
    """One setting: its field, environment variable, description and default."""

    name: str
    env: str
    meaning: str
    default: Any
    type: Any

    def mask(self, value: Any) -> Any:
        """`value` without secrets. Only free text can be a secret by the name of its variable, and
        the name of a file is none."""
        free = isinstance(self.default, str | tuple) and not _meta(self.type).extra["choices"]
        free = free and not self.env.endswith("_FILE")
        return mask(value, self.env if free else "")


def remember_secrets(environ: Mapping[str, str]) -> None:
    """Have the secrets of the environment masked wherever they are printed, those of libraries
    included."""
    remember_secret(environ.get("TAPEWIRE_JWT_SECRET", ""), environ.get("TAPEWIRE_SESSION", ""))
    for name, value in environ.items():
        if name in _URL_VARIABLES:
            remember_url_secrets(value)
        elif name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS"):
            remember_secret(*(pair.partition("=")[2] for pair in value.split(",")))


def _meta(annotation: Any) -> Any:
    return next(each for each in annotation.__metadata__ if isinstance(each, Meta))


def describe_fields(settings: type[msgspec.Struct]) -> Iterator[Setting]:
    """Every field of `settings`, in order."""
    hints = get_type_hints(settings, include_extras=True)
    for field in msgspec.structs.fields(settings):
        of = hints[field.name]
        env = _meta(of).extra["env"] or _PREFIX + field.name.upper()
        yield Setting(field.name, env, _meta(of).description, field.default, of)


def parse(setting: Setting, text: str) -> Any:
    """The value of `setting` that `text` states. Raises BadSetting."""
    given: Any = text
    if isinstance(setting.default, tuple):
        given = [part.strip() for part in text.split(",") if part.strip()]
    elif isinstance(setting.default, bool):
        given = {"on": True, "yes": True, "off": False, "no": False}.get(text.lower(), text)
    try:
        return msgspec.convert(given, setting.type, strict=False)
    except msgspec.ValidationError as error:
        shown = repr(setting.mask(text))
        raise BadSetting(f"{setting.env}={shown}: {error}; it is: {setting.meaning}") from None
