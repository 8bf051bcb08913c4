"""Designs: which runs to train for a sum of FLOPs, what they would tell, and whether there is enough text."""
