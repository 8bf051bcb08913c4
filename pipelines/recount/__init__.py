"""Counting again: everything that a manifest says, from the result's files alone, by code of its own."""
