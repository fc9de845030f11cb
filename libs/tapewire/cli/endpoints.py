"""Where commands find what they talk to: what they are told, or what runs in this directory."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR, find_running
from tapewire.runtime import Settings

DEFAULT_EDGE_URL = "http://127.0.0.1:8000"
NATS_URL_VARIABLE = "TAPEWIRE_NATS_URL"


def nats_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--nats``, of which `nats_url` makes an address."""
    return click.option(
        "--nats",
        metavar="URL",
        help=f"NATS servers, comma-separated [{NATS_URL_VARIABLE}, or that of the `tapewire up` that runs in "
        "this directory].",
    )(command)


def resolve_nats_url(option: str | None, settings: Settings) -> str:
    """The message server: `given`, or of the environment, or of what runs here."""
    if option or NATS_URL_VARIABLE in os.environ:
        return option or settings.nats_url
    run = find_running(Path(DEFAULT_DATA_DIR))
    return run.nats_url if run is not None else settings.nats_url


def resolve_edge_url(option: str | None) -> str:
    """The edge: `given`, or of what runs here, or where `tapewire up` has it by default."""
    run = find_running(Path(DEFAULT_DATA_DIR)) if option is None else None
    return run.url if run is not None else option or DEFAULT_EDGE_URL
