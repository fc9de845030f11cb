"""HTTP: the application (`app`), its stream routes (`streams`), and its errors (`errors`)."""
