"""Source code: StarCoder's rules, the comments, markup and encoded data that they count, and whether a file parses."""
