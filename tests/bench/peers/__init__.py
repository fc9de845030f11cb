"""Tapewire next to what else one would take, in one run, under the same load.

`servers` are what is measured: Tapewire's edge, nginx with nchan, sse-starlette with Redis, and a
bare socket that writes the same bytes, which shows what the readers themselves can take. `crowd` is
the load: many readers in a process of its own (`reader`), which notes when every single event
arrived. `trials` are the scenarios, `table` what is printed. Start reading at `trials`.
"""
