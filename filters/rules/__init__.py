"""Rules: those that were published for Gopher, C4, FineWeb and RefinedWeb, and the figures that they decide by."""
