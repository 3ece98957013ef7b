"""Notebooks on their way out (text to release) and on their way in (a submission that nobody trusts yet)."""
