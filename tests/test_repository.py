"""The repository keeps its own promises: one list of packages, floors that imports respect, nothing leaked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]

FLOORS = [
    {"exercise", "compare", "gradients"},
    {"checks"},
    {"exercises"},
    {"grading", "diagnosis"},
    {"students", "sandbox"},
    {"submissions", "notebook", "notebooks", "portfolio", "reports", "demo", "__init__"},
    {"nbgrader_plugin", "exports"},
    {"batch"},
    {"cli"},
]
"""From the ground up. Rooms of one floor may import each other as long as there is no circle."""


def floor_of(module: str) -> int:
    room = module.split(".")[1] if "." in module else "__init__"
    return next(level for level, rooms in enumerate(FLOORS) if room in rooms)


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted((ROOT / "autograder").rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


KNOWN = {name for name, _ in modules()}


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_an_import_goes_down_never_up(name: str, path: Path) -> None:
    uphill = [other for other in imports(path) & KNOWN if other != "autograder" and floor_of(other) > floor_of(name)]
    assert not uphill


def test_imports_run_in_no_circle() -> None:
    waiting = {name: (imports(path) & KNOWN) - {name, "autograder"} for name, path in modules()}
    packages = {name for name in KNOWN if any(other.startswith(name + ".") for other in KNOWN)}
    for package in packages:  # a package's face imports its rooms; that a room belongs to it is no import
        waiting[package] = (
            {other for other in waiting[package] if not other.startswith(package + ".")} if package else set()
        )
    while free := [name for name, needed in waiting.items() if not needed & waiting.keys()]:
        for name in free:
            del waiting[name]
    assert not waiting


def test_the_laboratory_and_the_grader_do_not_import_each_other() -> None:
    assert not any(name.startswith("nnlab") for _, path in modules() for name in imports(path))
    laboratory = sorted((ROOT / "nnlab").rglob("*.py"))
    assert laboratory
    assert not any(name.startswith("autograder") for path in laboratory for name in imports(path))


def test_the_sandbox_worker_imports_the_standard_library_numpy_and_its_wire_only() -> None:
    siblings = {"wire", "limits", "autograder.sandbox", "autograder.sandbox.wire", "autograder.sandbox.limits"}
    for file in ("worker.py", "wire.py", "limits.py"):  # all that is mounted; a sibling's long name is for the type checker
        others = imports(ROOT / "autograder" / "sandbox" / file) - siblings
        assert {name.split(".")[0] for name in others} <= set(sys.stdlib_module_names) | {"numpy"}


def requirement_names(lines: list[str]) -> dict[str, str]:
    """Package name -> version bounds, in one spelling."""
    split = [re.fullmatch(r"([A-Za-z0-9_.-]+?)\s*((?:[<>=!~].*)?)", line) for line in lines]
    return {m[1].lower().replace("_", "-"): m[2].replace(" ", "") for m in split if m}


def test_environment_yml_has_the_packages_and_bounds_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in environment if isinstance(entry, dict))
    listed = requirement_names(
        [e for e in environment if isinstance(e, str)] + [e for e in pip if not e.startswith("-")]
    )
    assert listed.pop("python") == project["requires-python"]
    listed.pop("pip")
    assert listed == requirement_names(project["dependencies"] + project["optional-dependencies"]["test"])


def test_constraints_pin_every_package_that_pyproject_names_and_hold_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pinned = requirement_names([line for line in text.splitlines() if line and not line.startswith("#")])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    assert set(requirement_names(wanted)) <= set(pinned)
    assert all(re.fullmatch(r"==[0-9][0-9A-Za-z.+]*", version) for version in pinned.values())
    assert "://" not in text and "@" not in text


def test_no_solution_and_no_python_file_reaches_the_assignments() -> None:
    files = [
        path for path in (ROOT / "assignments").rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts
    ]
    assert [path.name for path in files if path.suffix == ".ipynb"]
    assert not [path for path in files if path.suffix == ".py"]
    solved = re.compile(r"### BEGIN SOLUTION(.*?)### END SOLUTION", re.DOTALL)
    for released in files:
        text = released.read_text(encoding="utf-8")
        assert "BEGIN SOLUTION" not in text and "Marking scheme" not in text
        name = released.parent.name
        source = (ROOT / "solutions" / name / f"{name}.py").read_text(encoding="utf-8")
        for block in solved.findall(source):
            for line in block.splitlines():
                statement = line.strip().lstrip("# ")
                if len(statement) > 40:  # a short line such as `x_hat = ...` may well stand in the text, too
                    assert statement not in text, f"{released.name} gives away: {statement}"


def test_tracked_files_name_no_machine_path_and_no_registry() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout: there is no list of tracked files")
    words = re.compile("/" + "root/|--(extra-)?index-" + "url|/" + "work/")
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".yml", ".toml", ".txt", ".ipynb", ".json", ""}:
            assert not words.search(path.read_text(encoding="utf-8", errors="ignore")), name
