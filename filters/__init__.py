"""Columns in, columns out: every score is a pure function from Arrow columns to Arrow columns. Never Beam."""
