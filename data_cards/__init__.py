"""The data card: template and renderer."""
