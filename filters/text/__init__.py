"""Text: a column of it as kernels read it, its words and tokens, patterns that are found in it, and changes to it."""
