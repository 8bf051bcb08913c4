"""Fits: laws fitted to runs, how sure one may be of them, and what they say of recipes, mixtures and pools."""
