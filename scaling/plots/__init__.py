"""Pictures of laws, losses and fits, in one style."""
