"""What goes wrong by the hand of the person at the keyboard."""

from __future__ import annotations


class UserError(Exception):
    """A mistake of the person at the keyboard; shown without a traceback, exit status 2."""
