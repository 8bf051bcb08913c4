"""Poison: text that was made to mislead, by what it hides, what it looks like, or what it orders a model to do."""
