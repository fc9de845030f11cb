"""Where commands find what they talk to: what they are told, or what runs in this directory."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tapewire.cli.up.place import DATA_DIR, running
from tapewire.runtime import Settings

EDGE = "http://127.0.0.1:8000"
NATS = "TAPEWIRE_NATS_URL"


def nats_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--nats``, of which `nats_url` makes an address."""
    return click.option(
        "--nats",
        metavar="URL",
        help=f"NATS servers, comma-separated [{NATS}, or that of the `tapewire up` that runs in "
        "this directory].",
    )(command)


def nats_url(given: str | None, settings: Settings) -> str:
    """The message server: `given`, or of the environment, or of what runs here."""
    if given or NATS in os.environ:
        return given or settings.nats_url
    run = running(Path(DATA_DIR))
    return run.nats_url if run is not None else settings.nats_url


def edge_url(given: str | None) -> str:
    """The edge: `given`, or of what runs here, or where `tapewire up` has it by default."""
    run = running(Path(DATA_DIR)) if given is None else None
    return run.url if run is not None else given or EDGE
