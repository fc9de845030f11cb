"""`tapewire protocol`: prints every event, value and request of the code as Markdown.

`describe` describes structs and `document` renders the page. docs/events.md is the page of
Tapewire's own types; a test compares the two.
"""
