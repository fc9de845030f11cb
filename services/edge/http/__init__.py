"""HTTP: the application (`app`), which request is for which stream (`routing`), the streams
themselves (`streams`), and errors (`errors`)."""
