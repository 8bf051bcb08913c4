"""Exports: a rung of a finished build in another form."""
