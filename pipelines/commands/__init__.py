"""Commands: what a person types, and the tables that answer."""
