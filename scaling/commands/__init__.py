"""The commands `design`, `fit` and `reconcile`, and the tables that answer. What is heavy is imported when one runs."""
