"""The reference trainer: a small decoder in PyTorch, trained on a rung, and whole grids of such runs.

It needs PyTorch: ``pip install 'tokenladder[torch]'``. Modules here import it only where they compute.
"""
