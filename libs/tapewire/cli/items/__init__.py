"""`tapewire items`: adds analysed items to the log, one at a time or from a file.

`csv_reader` and `feed_reader` read files into `rows`; `loader` sends them to the insights service.
Start at `command`.
"""
