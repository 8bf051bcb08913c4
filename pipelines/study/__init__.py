"""The study: what the one file that a user writes says, read, checked, and described for editors."""
