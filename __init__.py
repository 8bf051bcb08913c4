"""TokenLadder: raw web and code corpora to exact, nested, mixed token budgets."""

__version__ = "0.1.0"
