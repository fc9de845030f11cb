"""`tapewire tail STREAM`: shows a live stream in the terminal and resumes it after a disconnect.

`command` is the command, `session` signs in, `follower` reads the stream with
`tapewire.sync.stream` and reports its states, and `formatting` turns events into lines. Start at
`follower`.
"""
