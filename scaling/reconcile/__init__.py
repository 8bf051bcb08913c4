"""The best size for each budget, and why studies of it disagree."""
