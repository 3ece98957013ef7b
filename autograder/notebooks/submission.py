"""Reading what a student handed in, without believing any of it.

A notebook is taken apart and put together again from the few fields that grading needs, so that whatever else is in the file
(broken outputs, forged metadata, twenty thousand nested lists) reaches neither nbgrader nor a page.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import os
import re
import stat
import tokenize
import warnings
from collections.abc import Callable
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.sandbox import Cell

MAX_BYTES = 20_000_000
MAX_CONTAINERS = 1_000_000
MAX_CELLS = 2_000
MAX_TEXT = 2_000_000
MAX_TRANSFORMED = 10_000
MAX_MAGICS = 50
MAX_DATA = 8_000_000
MAX_DATA_FILES = 20

_CHECK_CALL = re.compile(r"""\s*(?:check|hint)\(\s*(?:"\w*"|'\w*')\s*\)\s*;?\s*(?:#.*)?""")
_MAGIC = re.compile(r"^[ \t]*[%!?].*$|^.*\?[ \t]*$|^.*=[ \t]*[%!].*$", re.MULTILINE)
_RUN_BODY = re.compile(r"\s*%%(?:time|timeit|capture|prun)\b.*")
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAG = re.compile(r"[\w-]{1,64}")
_DATA_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_CODECS = {"utf-8", "utf-8-sig", "ascii", "iso-8859-1", "iso-8859-15", "cp1252"}


class SubmissionError(Exception):
    """A submission that cannot be read: one line with what was found, what was expected and what to do."""


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in a file that nobody trusts, as a valid notebook of format 4.5 without outputs.

    Kept are cell types, sources, cell ids, tags, nbgrader's metadata as plain values, and pasted pictures.
    Raises `SubmissionError` when the file is not a notebook.
    """
    return parse_notebook(_read(path), path.name)


def parse_notebook(data: bytes, name: str = "notebook") -> NotebookNode:
    """`read_notebook` for bytes at hand; ``name`` is what the messages call them."""
    hint = "open it in Jupyter, save it and hand it in again"
    if not data.strip():
        raise SubmissionError(f"{name} is empty; expected a notebook: hand in the saved .ipynb file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{name} is not UTF-8 text (byte {error.start}); expected a notebook: {hint}") from None
    if text.count("[") + text.count("{") > MAX_CONTAINERS:
        raise SubmissionError(
            f"{name} is nested or cut into too many pieces; clear all outputs, save, hand it in again"
        )
    try:
        content = json.loads(text)
    except RecursionError:
        raise SubmissionError(f"{name} is nested too deeply to be a notebook: {hint}") from None
    except ValueError as error:
        line = str(error).splitlines()[0]
        raise SubmissionError(f"{name} is not a notebook, its JSON is damaged ({line}): {hint}") from None
    if isinstance(content, dict) and isinstance(content.get("worksheets"), list):
        content = _upgraded(content, name, hint)
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise SubmissionError(f'{name} has no list of "cells"; expected a notebook of format 4: {hint}')
    if len(content["cells"]) > MAX_CELLS:
        raise SubmissionError(
            f"{name} has {len(content['cells'])} cells, at most {MAX_CELLS} are read; remove the surplus"
        )
    notebook = _rebuilt(content["cells"])
    if (size := sum(len(cell.source) for cell in notebook.cells)) > MAX_TEXT:
        raise SubmissionError(
            f"{name} has {size:,} characters of text and code, at most {MAX_TEXT:,} are read; shorten it"
        )
    return notebook


def cells_to_run(notebook: NotebookNode) -> list[Cell]:
    """The code cells in order, as plain Python, without experiments and without the calls of the checks themselves."""
    return [Cell(cell_name(number), plain_python(cell.source))
            for number, cell in enumerate(notebook.cells)
            if cell.cell_type == "code" and cell.source.strip()
            and "experiment" not in cell.metadata.get("tags", []) and not _is_check(cell)]  # fmt: skip


def cell_name(index: int) -> str:
    """What a cell is called in messages: its place among all cells, counted from one."""
    return f"cell {index + 1}"


def python_file(path: Path) -> Cell:
    """A ``.py`` file as one cell. A byte-order mark or a coding line is honoured; a syntax error is left to the sandbox."""
    data = _read(path)
    try:
        codec, _ = tokenize.detect_encoding(BytesIO(data).readline)
        if codec not in _CODECS:
            raise SubmissionError(f"{path.name} is written in {codec}; expected UTF-8: save it as UTF-8")
        text = data.decode(codec)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        raise SubmissionError(f"{path.name} is not readable text; expected Python in UTF-8: save it as UTF-8") from None
    return Cell(path.name, text.replace("\r\n", "\n").replace("\r", "\n"), kind="file")


def data_files(folder: Path) -> list[Cell]:
    """The arrays that were handed in with a notebook (``.npz``, ``.npy``), such as the weights of a trained network.

    Nobody looks into them on this side. What is too large or no file of its own is left out, and the outcome says so.
    """
    found: list[Cell] = []
    room = MAX_DATA
    for path in sorted(folder.glob("*.np[yz]"))[:MAX_DATA_FILES]:
        try:
            if not _DATA_NAME.fullmatch(path.name):
                raise SubmissionError(f"{path.name}: expected a name of letters, digits, '.', '-' and '_'")
            data = _read(path)
            if len(data) > room:
                raise SubmissionError(
                    f"{path.name} has {len(data):,} bytes, at most {MAX_DATA // 1_000_000} MB of arrays are handed on in "
                    "all: store fewer or smaller arrays (float32)"
                )
        except SubmissionError as problem:
            found.append(Cell(path.name, kind="data", problem=str(problem)))
            continue
        room -= len(data)
        found.append(Cell(path.name, kind="data", data=data))
    return found


def plain_python(source: str) -> str:
    """A cell's source without IPython's own syntax.

    Valid Python stays as it is. Magics and shell lines become ``get_ipython()`` calls by IPython's own rules; where these fail or
    would take long, such lines are commented out. ``%%time`` and its like let their cell run, other cell magics don't.
    """
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        return f"# {first}\n" + (_without_magics(rest) if _RUN_BODY.fullmatch(first) else "")
    return _without_magics(source)


def _without_magics(source: str) -> str:
    if len(source) <= MAX_TRANSFORMED * 5 and _parses(source):
        return source
    magics = len(_MAGIC.findall(source))
    if len(source) <= MAX_TRANSFORMED and 0 < magics <= MAX_MAGICS:
        from IPython.core.inputtransformer2 import TransformerManager

        transform: Callable[[str], str] = TransformerManager().transform_cell
        try:
            if _parses(transformed := transform(source)):
                return transformed
        except Exception:
            pass
    return _MAGIC.sub(lambda line: "# " + line[0], source) if magics else source


def _parses(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _is_check(cell: NotebookNode) -> bool:
    nbgrader = cell.metadata.get("nbgrader", {})
    graded = bool(nbgrader.get("grade")) and not nbgrader.get("solution")
    return graded or all(_CHECK_CALL.fullmatch(line) for line in cell.source.splitlines() if line.strip())


def _read(path: Path) -> bytes:
    """A regular file's bytes; never waits on a pipe and never reads more than `MAX_BYTES`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        broken = path.is_symlink() and not path.exists()
        found = "is a link that leads nowhere" if broken else f"cannot be read ({error.strerror})"
        raise SubmissionError(f"{path.name} {found}; expected a file: put the file itself in its place") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SubmissionError(f"{path.name} is not a regular file; expected a notebook or Python file")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise SubmissionError(
            f"{path.name} is larger than {MAX_BYTES // 1_000_000} MB; clear all outputs, save, hand it in again"
        )
    return data


def _upgraded(content: dict[str, Any], name: str, hint: str) -> Any:
    """A notebook of format 3 as one of format 4."""
    try:
        return nbformat.convert(nbformat.from_dict(content), 4)
    except Exception:
        raise SubmissionError(f"{name} is a damaged notebook of the old format 3: {hint}") from None


def _rebuilt(cells: list[Any]) -> NotebookNode:
    """A clean notebook with what is usable in ``cells``."""
    made: list[NotebookNode] = []
    seen: set[str] = set()
    for number, cell in enumerate(c for c in cells if isinstance(c, dict)):
        kind = cell.get("cell_type")
        metadata = cell["metadata"] if isinstance(cell.get("metadata"), dict) else {}
        cell_id = cell.get("id")
        if not (isinstance(cell_id, str) and _CELL_ID.fullmatch(cell_id) and cell_id not in seen):
            cell_id = next(i for i in (f"cell-{number}-{k}" for k in count()) if i not in seen)
        seen.add(cell_id)
        clean: dict[str, Any] = {}
        if isinstance(nbgrader := metadata.get("nbgrader"), dict):
            clean["nbgrader"] = {_text(k): _text(v) if isinstance(v, str) else v for k, v in nbgrader.items()
                                 if isinstance(v, str | int | float | bool | None)}  # fmt: skip
        if isinstance(tags := metadata.get("tags"), list):
            clean["tags"] = sorted({tag for tag in tags if isinstance(tag, str) and _TAG.fullmatch(tag)})
        node: dict[str, Any] = {
            "id": cell_id,
            "cell_type": kind,
            "metadata": clean,
            "source": _text(cell.get("source")),
        }
        if kind == "code":
            node |= {"outputs": [], "execution_count": None}
        elif kind == "markdown":
            if pictures := _pictures(cell.get("attachments")):
                node["attachments"] = pictures
        else:
            node["cell_type"] = "raw"
        made.append(nbformat.from_dict(node))
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return notebook


def _text(value: Any) -> str:
    """A source or a key: a string or a list of lines, fit to be written as UTF-8."""
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _pictures(attachments: Any) -> dict[str, dict[str, str]]:
    """The bitmaps that a student pasted into a markdown cell; everything else that could hang there is dropped."""
    kept: dict[str, dict[str, str]] = {}
    for name, bundle in attachments.items() if isinstance(attachments, dict) else ():
        for kind, data in bundle.items() if isinstance(bundle, dict) else ():
            if kind in ("image/png", "image/jpeg", "image/gif") and isinstance(data, str | list):
                try:
                    plain = base64.b64encode(base64.b64decode(_text(data).replace("\n", ""), validate=True)).decode()
                except (binascii.Error, ValueError):
                    continue
                kept.setdefault(_text(name), {})[kind] = plain
    return kept
