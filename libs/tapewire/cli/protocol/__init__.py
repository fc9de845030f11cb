"""`tapewire protocol`: every event, value and request, as the code has them, in Markdown.

`describe` reads structs, `document` writes the page, `command` is the command. docs/events.md is
what it prints of Tapewire's own types; a test holds the two together.
"""

from tapewire.cli.protocol.command import protocol
from tapewire.cli.protocol.document import render_document

__all__ = ["protocol", "render_document"]
