"""`tapewire protocol`: prints every event, value and request of the code.

`describe` describes structs, `document` renders a page of Markdown and `asyncapi` builds an
AsyncAPI document. docs/events.md and docs/asyncapi.json are those of Tapewire's own types; a test
compares them with the code.
"""
