"""The face for notebooks: `check` says how an exercise stands, `hint` gives the next hint, `yours` runs your work."""

from __future__ import annotations

from autograder.notebook import check, hint, yours

__all__ = ["check", "hint", "yours"]
