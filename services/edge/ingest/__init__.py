"""Ingest: the log tail, the quotes and the views of an edge process, before they are delivered."""
