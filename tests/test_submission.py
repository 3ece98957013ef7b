"""Reading hostile files: every damage has its clear line, everything usable is read, nothing else comes through."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from autograder.notebooks.submission import (
    MAX_BYTES,
    SubmissionError,
    cells_to_run,
    parse_notebook,
    plain_python,
    python_file,
    read_notebook,
)


def notebook(*cells: Any, **more: Any) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)} | more).encode()


def code(source: Any = "x = 1", **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None} | more


def code_run(*cells: Any) -> list[str]:
    return [cell.code for cell in cells_to_run(parse_notebook(notebook(*cells)))]


@pytest.mark.parametrize(("content", "found"), [
    (b"", "is empty"), (b"  \n", "is empty"), (b"hello", "JSON is damaged"), (b'{"cells": [{}', "JSON is damaged"),
    (b"\xff\xfe{\x00", "not UTF-8"), (b"null", 'no list of "cells"'), (b"[1]", 'no list of "cells"'), (b"{}", 'no list of "cells"'),
    (b'{"cells": {}}', 'no list of "cells"'), (b'{"cells": 1e999}', 'no list of "cells"'), (b"[" * 200_000, "nested too deeply"),
    (b"[" * 2_000_000, "too many pieces"), (b'{"cells": [' + b"{}," * 3_000 + b"{}]}", "3001 cells"),
    (notebook(code("x" * 1_500_000), code("y" * 1_500_000)), "3,000,000 characters of text"),
    (b'{"cells": ' + b"9" * 10_000 + b"}", "JSON is damaged"), (b'{"worksheets": [7], "nbformat": 3}', "old format 3"),
])  # fmt: skip
def test_what_is_damaged_beyond_use_is_named_in_one_line(content: bytes, found: str) -> None:
    with pytest.raises(SubmissionError) as error:
        parse_notebook(content, "work.ipynb")
    assert found in str(error.value) and str(error.value).startswith("work.ipynb") and "\n" not in str(error.value)


@pytest.mark.parametrize("cell", [
    code(metadata=None), code(metadata=[1]), code(outputs="garbage"), code(outputs=[{"output_type": 3}]), code(execution_count="x"),
    code(["x ", "= 1"]), code(["x = 1", 7, None]), code(id=5), code(id="not a valid id!"), code(id="x" * 1000), code(metadata={"tags": 3}),
    code(metadata={"nbgrader": "yes"}), code(metadata={"nbgrader": {"grade_id": ["x"], "points": {}}}), code(attachments=[]),
])  # fmt: skip
def test_a_cell_with_garbage_around_its_source_is_read(cell: dict[str, Any]) -> None:
    read = parse_notebook(notebook(cell, cell))
    nbformat.validate(read)
    assert [c.source for c in read.cells] == ["x = 1", "x = 1"] and [c.outputs for c in read.cells] == [[], []]
    assert read.cells[0].id != read.cells[1].id
    assert code_run(cell) == ["x = 1"]


@pytest.mark.parametrize(
    "odd", [{}, {"cell_type": None}, {"cell_type": "code"}, {"cell_type": "widget", "source": 7}, 3, None, "cell", []]
)
def test_what_is_no_cell_does_no_harm(odd: Any) -> None:
    nbformat.validate(parse_notebook(notebook(odd, code())))
    assert code_run(odd, code()) == ["x = 1"]


def test_colliding_ids_are_made_unique() -> None:
    read = parse_notebook(notebook(*(code(id=f"cell-{n % 3}-0") for n in range(50)), *(code() for _ in range(50))))
    assert len({c.id for c in read.cells}) == 100


def test_only_what_grading_needs_comes_through() -> None:
    cell = code(
        metadata={"tags": ["experiment", "<script>"], "trusted": True, "nbgrader": {"grade_id": "a", "deep": [[]]}}
    )
    picture = {"x.png": {"image/png": "aGk=", "text/html": "<b>"}, "y.png": {"image/png": "<script>"}, "z": 3}
    read = parse_notebook(
        notebook(cell, {"cell_type": "markdown", "source": "t", "attachments": picture}, metadata={"title": "<b>"})
    )
    assert dict(read.cells[0].metadata) == {"tags": ["experiment"], "nbgrader": {"grade_id": "a"}}
    assert read.cells[1].attachments == {"x.png": {"image/png": "aGk="}}
    assert set(read.metadata) == {"kernelspec"}


def test_a_byte_order_mark_and_lone_surrogates_are_no_reason_to_refuse() -> None:
    assert parse_notebook(b"\xef\xbb\xbf" + notebook(code())).cells[0].source == "x = 1"
    (cell,) = parse_notebook(notebook(code("print('\ud800')"))).cells
    assert cell.source.encode("utf-8") and cell.source.startswith("print('")


@pytest.mark.parametrize("minor", [0, 2, 4, 5, 9])
def test_any_format_4_is_read(minor: int) -> None:
    assert parse_notebook(notebook(code(), nbformat_minor=minor)).cells[0].source == "x = 1"


def test_format_3_is_upgraded() -> None:
    cells = [{"cell_type": "code", "input": ["x = ", "1"], "outputs": [], "language": "python", "collapsed": False, "metadata": {}},
             {"cell_type": "heading", "level": 2, "source": "Title", "metadata": {}}]  # fmt: skip
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": cells, "metadata": {}}],
    }
    read = parse_notebook(json.dumps(old).encode())
    assert [c.source for c in read.cells] == ["x = 1", "## Title"]


# -- files


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "big.ipynb").write_bytes(b" " * (MAX_BYTES + 1))
    for name, found in {"link": "leads nowhere", "pipe": "not a regular file", "folder": "not a regular file", "big": "larger than 20 MB",
                        "missing": "cannot be read (No such file"}.items():  # fmt: skip
        with pytest.raises(SubmissionError, match=name) as error:
            read_notebook(tmp_path / f"{name}.ipynb")
        assert found in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "wanted"), [
    (b"x = 1\n", "x = 1\n"), (b"\xef\xbb\xbfx = 1\n", "x = 1\n"), (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "# -*- coding: latin-1 -*-\nx = 'é'\n"),
    (b"if 1:\r\n\tx = 1\r\n", "if 1:\n\tx = 1\n"), (b"print 'python 2'\n", "print 'python 2'\n"), (b"", ""), (b"x = '\0'", "x = '\0'"),
])  # fmt: skip
def test_a_python_file_is_one_cell(tmp_path: Path, content: bytes, wanted: str) -> None:
    (tmp_path / "layers.py").write_bytes(content)
    cell = python_file(tmp_path / "layers.py")
    assert (cell.name, cell.code, cell.kind) == ("layers.py", wanted, "file")


@pytest.mark.parametrize(
    "content",
    [
        b"x = '\xff'",
        b"# coding: klingon\n",
        b"# coding: utf-16\nx",
        b"# coding: idna\nx",
        b"# coding: unicode_escape\nx",
    ],
)
def test_a_python_file_in_no_ordinary_encoding_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "layers.py").write_bytes(content)
    with pytest.raises(SubmissionError, match=r"layers\.py .*expected"):
        python_file(tmp_path / "layers.py")


# -- what is run


def test_cells_run_in_order_without_experiments_and_checks() -> None:
    cells = [code("a = 1"), {"cell_type": "markdown", "source": "text"}, code("   "), code("b = 2", metadata={"tags": ["experiment"]}),
             code('check("x")'), code("hint('x'); # more\ncheck('x')\n"), code("assert 1", metadata={"nbgrader": {"grade_id": "t", "grade": True}}),
             code('c = check("x")')]  # fmt: skip
    read = parse_notebook(notebook(*cells))
    assert [(c.name, c.code, c.kind) for c in cells_to_run(read)] == [
        ("cell 1", "a = 1", "cell"),
        ("cell 8", 'c = check("x")', "cell"),
    ]


@pytest.mark.parametrize(("source", "wanted"), [
    ("x = 5 % 3\ny = x != 2", "x = 5 % 3\ny = x != 2"),
    ("%matplotlib inline\nx = 1", "get_ipython().run_line_magic('matplotlib', 'inline')\nx = 1\n"),
    ("!pip install torch\nx = 1", "get_ipython().system('pip install torch')\nx = 1\n"),
    ("def f():\n    files = !ls\n    return 1", "def f():\n    files = get_ipython().getoutput('ls')\n    return 1\n"),
    ("np.mean?\nx = 1", "get_ipython().run_line_magic('pinfo', 'np.mean')\nx = 1\n"),
    ("%%time\n%matplotlib inline\nx = 1", "# %%time\nget_ipython().run_line_magic('matplotlib', 'inline')\nx = 1\n"),
    ("%%bash\nrm -rf /", "# %%bash\n"),
    ("%%writefile layers.py\nx = 1", "# %%writefile layers.py\n"),
    ("%matplotlib inline\nprint 'two'", "# %matplotlib inline\nprint 'two'"),
    ("def broken(:", "def broken(:"),
])  # fmt: skip
def test_ipython_syntax_becomes_python(source: str, wanted: str) -> None:
    assert plain_python(source) == wanted


@pytest.mark.parametrize("source", [
    "(" * 50_000, "-" * 50_000 + "1", "%x\n" * 20_000, "!" * 50_000, "?" * 50_000, "%%time\n" * 7_000, "'''" + "%" * 50_000, "\\\n" * 20_000,
    "a.b" + ".b" * 20_000, "x = !" + "{" * 9_000, "\t" * 9_000 + "%x", "f'{" * 1_000, "\0%x", "%x\n" + "[" * 9_000, "=" * 9_000 + "%", ">>> " * 9_000,
])  # fmt: skip
def test_hostile_sources_take_no_time_to_transform(source: str) -> None:
    started = time.perf_counter()
    assert isinstance(plain_python(source), str)
    assert time.perf_counter() - started < 3


def test_hostile_sources_take_no_time_to_be_told_from_checks() -> None:
    started = time.perf_counter()
    assert (
        len(
            code_run(
                "check('x')" + "\n" * 20, code(("check('x')" + "\n" * 20) * 40 + "x"), code("check('" + " " * 99_999)
            )
        )
        == 2
    )
    assert time.perf_counter() - started < 1
