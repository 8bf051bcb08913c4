"""Lists that a user brings, of words, domains and evaluation items, and what documents hold of them."""
