"""Measures: figures of a whole document to sort, rank or cut by; its own, a model's, or those of a user's function."""
