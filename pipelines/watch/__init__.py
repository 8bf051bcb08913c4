"""Watching a build: what workers note, the journal beside the result, and what people are shown of both."""
