"""Duplicates: how alike documents are, and which lines and phrases many of them share."""
