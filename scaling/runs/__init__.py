"""Runs: the table of what was trained, its columns, their names elsewhere, its checks, and the noise between seeds."""
