"""Shingles: runs of a document's tokens as hashes, straight from the bytes of a column, and sets of them."""
