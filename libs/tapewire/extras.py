"""The optional parts of the distribution (pip's extras), and who needs which.

What an extra brings is imported only by the process that needs it. Start at `find_missing_extra`.
"""

from importlib import util

EXTRA_MODULES = {
    "edge": ("httptools", "jwt", "litestar", "uvicorn"),
    "insights": ("vaderSentiment",),
}
"""The modules that each extra brings. `embedded` brings a program, and `testing` is for tests."""
SERVICE_EXTRAS = {"edge": "edge", "insights": "insights"}
"""The extra that a service needs, if it needs one."""


def find_missing_extra(extra: str, wanted_by: str) -> str | None:
    """What to install because `wanted_by` needs `extra`, in one sentence; None if it is there."""
    missing = [name for name in EXTRA_MODULES[extra] if util.find_spec(name) is None]
    if not missing:
        return None
    return (
        f"{wanted_by} needs {', '.join(missing)}, which the extra {extra!r} brings: "
        f"pip install 'tapewire[{extra}]'"
    )
