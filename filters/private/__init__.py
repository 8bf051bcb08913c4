"""Private data: what leads to a person, and secrets; their kinds, and checks that tell them from look-alikes."""
