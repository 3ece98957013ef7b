"""What all tests share: a skip for want of a tool is said aloud, and is a failure where everything must be there (CI)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

EVERYTHING = "AUTOGRADER_TESTS_NEED_EVERYTHING"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    optional = "no real images" in str(report.longrepr)  # data that this repository does not ship
    if os.environ.get(EVERYTHING) and report.skipped and not hasattr(report, "wasxfail") and not optional:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but {EVERYTHING} is set: {report.longrepr}"
    return report
