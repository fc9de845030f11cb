"""`tapewire journal`: the state of the journal, and what an operator decides about it."""
