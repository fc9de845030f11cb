"""`tapewire settings`: lists every environment variable with its value, default and meaning."""

import re
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapewire.cli.errors import load_settings
from tapewire.runtime.logging_setup import REDACTED
from tapewire.runtime.settings import Setting, describe

NON_TERMINAL_WIDTH = 240
"""Columns if the output is no terminal: wide enough to keep a setting on one line."""

_URL_CREDENTIALS = re.compile(r"(?<=://)[^@/\s,]+(?=@)")


@click.command()
def settings() -> None:
    """List every setting: its environment variable, value here and now, default and meaning.

    What differs from its default is marked with *; secrets are masked.
    """
    values = load_settings().values()
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = NON_TERMINAL_WIDTH
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("variable", "value", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for setting in describe():
        value, default = values[setting.env], setting.default
        changed = value != default
        table.add_row(
            Text(setting.env + ("*" if changed else ""), "bold yellow" if changed else "cyan"),
            Text(format_value(value, setting), "yellow" if changed else ""),
            Text(format_value(default, setting), "dim"),
            Text(setting.meaning),
        )
    console.print(table)


def format_value(value: Any, setting: Setting) -> str:
    """Return `value` as an environment variable would state it, with secrets redacted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ",".join(format_value(item, setting) for item in value) or "-"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) or not value:  # a number or an empty text is no secret
        return str(value) or "-"
    return _URL_CREDENTIALS.sub(REDACTED, str(setting.mask(value)))
