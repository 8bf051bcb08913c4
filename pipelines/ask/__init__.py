"""Asking a result: why a document is in or out, what two recipes share, samples, texts, and what stands in a rung."""
