"""The payloads of the events that streams show, as structs: what the edge sends.

A module for each subject: `control`, `trading`, `positions`, `market`, `strategies` and `items`.
Where an event of the journal is shown as it is, its struct is in `tapewire.events`.
"""
