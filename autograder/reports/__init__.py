"""Results as people read them: text for a terminal, HTML for a notebook and a feedback page, a page for the class."""

from __future__ import annotations

from autograder.reports.result import as_html, as_text

__all__ = ["as_html", "as_text"]
