"""A student at work: the released notebook in JupyterLab, in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "00-gradient-checking"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
MINUTE = 60_000

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab on loopback that serves a copy of the released notebook."""
    home = tmp_path_factory.mktemp("student")
    shutil.copy(ROOT / "assignments" / NOTEBOOK / f"{NOTEBOOK}.ipynb", home)
    settings = home / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    # all cells in the page at once, so that the test can reach each of them
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    news = home / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root"]
    command += ["--IdentityProvider.token=secret", f"--notebook-dir={home}"]
    environment = {**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTER_RUNTIME_DIR": str(home / "run")}
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=home)
        try:
            yield _address(home / "server.log", server)
        finally:
            server.terminate()
            server.wait(timeout=20)


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return found[0]
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture
def page(lab: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(MINUTE)
        page.goto(f"{lab}/lab/tree/{NOTEBOOK}.ipynb?token=secret")
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=2 * MINUTE)
        yield page
        browser.close()


def cell_with(page: Page, text: str) -> Locator:
    return page.locator(".jp-Notebook .jp-CodeCell").filter(has=page.locator(".cm-content", has_text=text)).first


def run(page: Page, cell: Locator) -> Locator:
    """Run a cell by Shift+Enter, wait for its new number, and return its output.

    JupyterLab drops a key that comes while it is still putting the page together; like a student, we press it again.
    """
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    for _ in range(10):
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        try:
            expect(prompt).not_to_have_text(before, timeout=6_000)
            break
        except AssertionError:
            continue
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=2 * MINUTE)
    return cell.locator(".jp-OutputArea")


def write(page: Page, cell: Locator, code: str) -> None:
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(code)


def test_a_student_fills_in_a_stub_and_sees_the_check_go_from_not_started_to_wrong_to_passed(page: Page, tmp_path: Path) -> None:
    expect(cell_with(page, "import numpy as np")).to_be_visible(timeout=2 * MINUTE)
    run(page, cell_with(page, "import numpy as np"))
    stub, check = cell_with(page, "def relative_error"), cell_with(page, 'check("relative_error")')

    run(page, stub)
    expect(run(page, check)).to_contain_text("not started")

    write(page, stub, "def relative_error(a, b):\n    return np.max(np.abs(a - b) / (np.abs(a) + np.abs(b)))")
    run(page, stub)
    output = run(page, check)
    expect(output).to_contain_text("gives 0, not nan, where both entries are 0")
    expect(output).to_contain_text("Looks like: Where both entries are 0 you divide 0 by 0 and get nan.")
    expect(output).not_to_contain_text("Warning")
    _keep(page, check, tmp_path, "failed")

    write(page, stub, "def relative_error(a, b):\n    a, b = np.asarray(a), np.asarray(b)\n"
          "    return np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(a) + np.abs(b)))")  # fmt: skip
    run(page, stub)
    output = run(page, check)
    expect(output).to_contain_text("passed")
    expect(output).to_contain_text("5 of 5 points")
    expect(output).not_to_contain_text("✗")
    _keep(page, check, tmp_path, "passed")


def _keep(page: Page, cell: Locator, folder: Path, name: str) -> None:
    """A picture of what the student saw, for whoever looks into the test's folder."""
    cell.scroll_into_view_if_needed()
    page.screenshot(path=os.environ.get("SCREENSHOTS", str(folder)) + f"/{name}.png")
