"""The way of the data: read, score, cluster, choose, encode, pack; and the commands that run it."""
