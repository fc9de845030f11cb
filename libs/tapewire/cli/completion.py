"""`tapewire completion`: prints the script with which a shell completes commands and their words.

The script runs `tapewire` again at each Tab. Beside commands and options it completes data
directories, services, streams, symbols and durable subscriptions. What cannot be found out at once
is left out.
"""

import contextlib
import importlib
import importlib.util
import json
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

PROGRAM = "tapewire"
COMPLETE_VARIABLE = "_TAPEWIRE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
EDGE_SECONDS = 1.0
STREAM_PREFIX = "/api/stream/"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: bash (4.4 or newer), zsh or fish.

    Bash: eval "$(tapewire completion bash)" in ~/.bashrc. Zsh: the same with zsh in ~/.zshrc, after
    compinit. Fish: tapewire completion fish > ~/.config/fish/completions/tapewire.fish
    """
    script_class = get_completion_class(shell)
    assert script_class is not None  # noqa: S101  # click has one for each of SHELLS
    root = click.get_current_context().find_root().command
    script = script_class(root, {}, PROGRAM, COMPLETE_VARIABLE)
    # Not `source()`, which runs bash to look at its version.
    click.echo(script.source_template % script.source_vars())


def complete_data_dirs() -> list[CompletionItem]:
    """The data directories whose `up` runs, and then directories of the file system."""
    from tapewire.cli.up.registry import find_all_running

    running = [CompletionItem(str(one.data_dir), help=one.state.url) for one in find_all_running()]
    return [*running, CompletionItem("", type="dir")]


def complete_streams(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[str]:
    """The streams below /api/stream/ that take no parameter in the path."""
    if importlib.util.find_spec("tapewire_services") is None:
        return []
    routes = importlib.import_module("tapewire_services.edge.delivery.stream_routes").STREAM_ROUTES
    names = (route.path.removeprefix(STREAM_PREFIX) for route in routes)
    return _begins((name for name in names if "/" not in name), incomplete)


def complete_symbols(context: click.Context, _p: click.Parameter, incomplete: str) -> list[str]:
    """The symbols that the edge of the running `up` quotes; of a list A,B the last one."""
    before, comma, last = incomplete.rpartition(",")
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return [f"{before}{comma}{symbol}" for symbol in _begins(_quoted_symbols(context), last)]
    return []


def complete_subscriptions(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[str]:
    """The durable subscriptions that are declared."""
    from tapewire.cli.errors import CliError, load_settings
    from tapewire.cli.nats_config.declarations import all_durables, load_accesses

    with contextlib.suppress(CliError):
        return _begins(all_durables(load_accesses(load_settings())), incomplete)
    return []


def _quoted_symbols(context: click.Context) -> Iterable[str]:
    from tapewire.cli.up.data_dir import DEFAULT_DATA_DIR, GIVEN_DATA_DIR, find_running

    run = find_running(context.meta.get(GIVEN_DATA_DIR) or Path(DEFAULT_DATA_DIR))
    if run is None:
        return ()
    with urllib.request.urlopen(f"{run.url}/api/prices", timeout=EDGE_SECONDS) as response:  # noqa: S310
        answer: Any = json.load(response)
    return [str(price["symbol"]) for price in answer["prices"]]


def _begins(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))
