"""The rejection of a command."""

JOURNAL_FULL = "journal_full"
"""The code of a command that would add exposure while the journal has hardly any room left."""

BUYING_POWER = "buying_power"
"""The code of an order that could bring the exposure of an account beyond its buying power."""


class CommandRejected(Exception):
    """The command was decided against. `code` is for programs; `path` names the field at fault."""

    def __init__(self, code: str, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
