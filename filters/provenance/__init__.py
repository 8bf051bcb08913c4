"""Provenance: where a document comes from, under which licence, and whether it is still what was vouched for."""
