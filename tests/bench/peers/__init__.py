"""Compares Tapewire with its alternatives in one run, under the same load.

`servers` are measured: Tapewire's edge, nginx with nchan, sse-starlette with Redis, and a bare
socket that writes the same bytes, which shows the limit of the readers themselves. The load
(`reader_process`) is many readers in a separate process (`reader`), which records the arrival of
every event. `trials` are the scenarios; `comparison` prints the table. Start reading at `trials`.
"""
