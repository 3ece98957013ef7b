"""The face for notebooks: `check` says how an exercise stands, `hint` gives the next hint, `yours` runs your work, and
`portfolio` collects it."""

from __future__ import annotations

from autograder.notebook import check, hint, yours
from autograder.portfolio import portfolio

__all__ = ["check", "hint", "portfolio", "yours"]
