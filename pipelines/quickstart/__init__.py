"""The quickstart's corpus: web pages and source code that every machine with TokenLadder already holds."""
