"""The process that holds a student's code: it runs cells, calls functions and answers with plain data.

Started by the launcher as ``python -I -S worker.py CHANNEL LIMITS NUMPY``: the number of an open socket, the limits as JSON,
and the directory that NumPy is in. Nothing here is secret and nothing here decides anything: whoever owns this process can
make it say what they like, and a lie is just a wrong number. What it owes an honest student is to be forgiving (one bad line
does not lose the rest of a notebook; a plot that can't be drawn fails where it is drawn) and to say where something went wrong.

Standard library and NumPy only, besides its two neighbours `limits` and `wire`.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import importlib
import importlib.util
import json
import linecache
import os
import pickle
import socket
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

if __name__ != "__main__":
    from autograder.sandbox import limits, wire
else:
    _places = [os.path.dirname(os.path.abspath(__file__)), sys.argv[3]]
    sys.path += _places
    import limits  # type: ignore[import-not-found,no-redef]
    import wire  # type: ignore[import-not-found,no-redef]

    del sys.path[-2:], sys.modules["limits"], sys.modules["wire"]  # leaves the standard library and NumPy

from numpy.random import Generator

_PACKAGE = "submission.files"
"""The package that a submission's files pretend to be in, so that `from .layers import *` and `from ..layers` are legal."""

# --- modules that are not there -----------------------------------------------------------------------------------------


class Missing:
    """Whatever comes from a module that is not available: it can be imported and named, and refuses to be used."""

    def __init__(self, module: str) -> None:
        self.__dict__["module"] = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self

    def __instancecheck__(self, thing: object) -> bool:
        return False  # nothing here is an instance of a class that is not here


def _refuse(self: Missing, *_: Any, **__: Any) -> Any:
    raise ImportError(f"{self.module} is not available while grading: NumPy and the standard library only")


_USES = """call getitem setitem delitem contains iter next len enter exit mro_entries bool int float index complex array
add radd sub rsub mul rmul matmul rmatmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow neg pos abs
lt le gt ge and rand or ror xor rxor invert lshift rlshift rshift rrshift setattr delattr"""
for _use in _USES.split():
    setattr(Missing, f"__{_use}__", _refuse)


class Placeholder(ModuleType):
    """A module that is not available. What it is given to say (`past.builtins.xrange`) it says; the rest is `Missing`."""

    def __init__(self, name: str, **contents: Any) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__all__ = list(contents)
        self.__dict__.update(contents)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if name in files.sources:  # from cs231n import layers
            return importlib.import_module(f"{self.__name__}.{name}")
        if self.__name__ == _PACKAGE:  # from . import unsubmitted
            return Missing(name)
        return Missing(self.__name__.removeprefix(f"{_PACKAGE}.").partition(".")[0])


def _nothing(*_: Any, **__: Any) -> None:
    """check(...), hint(...), display(...): for a reader's eyes only."""


def _old_division(a: Any, b: Any) -> Any:
    """Python 2's ``/``, which rounds down between integers."""
    return a // b if isinstance(a, int) and isinstance(b, int) else a / b


def _stand_ins() -> Iterable[Placeholder]:
    """Modules that students import out of habit, and the little of them that makes sense here."""
    old_names: dict[str, Any] = {
        "range": range,
        "xrange": range,
        "str": str,
        "unicode": str,
        "basestring": str,
        "int": int,
        "long": int,
    }
    old_names |= {"input": input, "raw_input": input, "open": open, "map": map, "zip": zip, "filter": filter}
    yield Placeholder("autograder", check=_nothing, hint=_nothing, yours=lambda names, otherwise: tuple(otherwise))
    yield Placeholder("past")
    yield Placeholder("past.builtins", **old_names)
    yield Placeholder("past.utils", old_div=_old_division)
    yield Placeholder("future")
    yield Placeholder("future.standard_library", install_aliases=_nothing)
    yield Placeholder("six")
    yield Placeholder("six.moves", **old_names, cPickle=pickle)
    yield Placeholder("submission")
    yield Placeholder(_PACKAGE)


# --- the submission's code ---------------------------------------------------------------------------------------------


class Ran:
    """What came of running a piece of source."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors: list[str] = []
        self.printed = ""

    def report(self) -> dict[str, str]:
        error = self.errors[0] if self.errors else ""
        more = len(self.errors) - 1
        return {"printed": self.printed, "error": f"{error} (and {more} more)" if more > 0 else error}


_PYTHON_2_NAMES = {"xrange": range, "unicode": str, "long": int, "raw_input": input, "reduce": functools.reduce}
"""What a file that was written for both Pythons may use without an import."""


class Files:
    """The submission's ``.py`` files as modules: found by the last part of a name, loaded when first asked for."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[str, str]] = {}
        self.modules: dict[str, ModuleType] = {}
        self.ran: dict[str, Ran] = {}

    def add(self, filename: str, source: str) -> None:
        self.sources.setdefault(_stem(filename), (filename, source))

    def load(self, filename: str) -> Ran:
        stem = _stem(filename)
        if self.sources[stem][0] != filename:
            namesake = Ran(filename)
            namesake.errors.append(f"not run: imports of {stem} mean {self.sources[stem][0]}")
            return namesake
        if stem not in self.ran:
            importlib.import_module(f"{_PACKAGE}.{stem}")
        return self.ran[stem]

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Python asks here last, after the standard library and NumPy."""
        return ModuleSpec(name, self) if name.rpartition(".")[2] in self.sources else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """One module however it is called: `layers`, `cs231n.layers` and `.layers` are the same file."""
        stem = spec.name.rpartition(".")[2]
        if stem not in self.modules:
            self.modules[stem] = module = ModuleType(f"{_PACKAGE}.{stem}")
            module.__package__ = _PACKAGE
            module.__file__ = self.sources[stem][0]
            module.__dict__.update(_PYTHON_2_NAMES)
            spaces.append(module.__dict__)
        return self.modules[stem]

    def exec_module(self, module: ModuleType) -> None:
        stem = module.__name__.rpartition(".")[2]
        module.__spec__ = ModuleSpec(module.__name__, None)
        if stem not in self.ran:
            filename, source = self.sources[stem]
            self.ran[stem] = ran = Ran(filename)
            run(source, ran, module.__dict__)


def _stem(filename: str) -> str:
    return filename.rpartition("/")[2].removesuffix(".py")


notebook = ModuleType("__main__")
notebook.__package__ = _PACKAGE
files = Files()
spaces = [notebook.__dict__]
"""The namespaces in which a function can be found, the notebook's first."""
filenames: set[str] = set()
"""The names of cells and files, to tell a student's frames from others in a traceback."""
forgiving: set[tuple[str, int]] = set()
"""Lines on which an import may fail because the student has written what to do then."""
unavailable: set[str] = set()
"""The modules that a placeholder was made for."""

_FUTURES = {getattr(__future__, name).compiler_flag for name in __future__.all_feature_names}


def run(source: str, ran: Ran, space: dict[str, Any]) -> None:
    """Run source in a namespace, statement by statement; what raises is noted and the next statement has its turn."""
    filenames.add(ran.name)
    linecache.cache[ran.name] = (len(source), None, source.splitlines(keepends=True), ran.name)
    flags = 0
    with wire.quiet() as printed:
        try:
            statements = ast.parse(source, ran.name).body
            forgiving.update((ran.name, line) for line in _forgiving_lines(statements))
        except BaseException as problem:  # a SyntaxError mostly, but a tower of brackets raises others
            ran.errors.append(_with_line(problem, ran.name))
            statements = []
        for statement in statements:
            try:
                code = compile(ast.Module([statement], []), ran.name, "exec", flags, dont_inherit=True)
                flags |= sum(flag for flag in _FUTURES if code.co_flags & flag)
                exec(code, space)
            except BaseException as problem:
                ran.errors.append(_with_line(problem, ran.name))
    ran.printed = (ran.printed + printed.text)[: wire.PRINTED]


def _forgiving_lines(statements: list[ast.stmt]) -> Iterable[int]:
    """Where a failing import is expected: in a `try` with an `except` for it, so that `try: import cupy` goes on as meant."""
    expected = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
    for block in (node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Try)):
        caught = [node for handler in block.handlers if handler.type for node in ast.walk(handler.type)]
        bare = any(handler.type is None for handler in block.handlers)
        if bare or any(isinstance(node, ast.Name) and node.id in expected for node in caught):
            inside = (node for line in block.body for node in ast.walk(line))
            yield from (node.lineno for node in inside if isinstance(node, (ast.Import, ast.ImportFrom)))


_PYTHON_2_SYNTAX = ("Missing parentheses in call to", "multiple exception types must be parenthesized")


def _with_line(problem: BaseException, filename: str) -> str:
    place = wire.innermost(problem, lambda frame: frame.f_code.co_filename == filename)
    line = place[1] if place else getattr(problem, "lineno", None)
    said = wire.describe(problem)
    if isinstance(problem, SyntaxError):
        said = f"{type(problem).__name__}: {problem.msg}"
        if any(relic in said for relic in _PYTHON_2_SYNTAX):
            said = f"this is Python 2, so nothing in it can run ({problem.msg.partition('. Did')[0]})"
    return wire.one_line(f"line {line}: {said}" if line else said)


def _place(problem: BaseException) -> str:
    place = wire.innermost(problem, lambda frame: frame.f_code.co_filename in filenames)
    return f" ({place[0].f_code.co_filename}, line {place[1]})" if place else ""


_import = builtins.__import__


def student_import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """`import`, where a module that can't be had becomes a placeholder.

    Only for a student's own import statements: the standard library asks for modules that are not there on purpose.
    """
    if not any(globals is space for space in spaces):
        return _import(name, globals, locals, fromlist, level)
    absolute = importlib.util.resolve_name("." * level + name, _PACKAGE) if level else name
    chain = [absolute[:end] for end, letter in enumerate(absolute + ".") if letter == "."]
    frame = sys._getframe(1)
    if (frame.f_code.co_filename, frame.f_lineno) in forgiving:
        for part in unavailable.intersection(chain):
            raise ModuleNotFoundError(f"No module named {part!r}", name=part)
        return _import(name, globals, locals, fromlist, level)
    while True:
        try:
            return _import(name, globals, locals, fromlist, level)
        except ModuleNotFoundError as problem:
            missing = problem.name
            if missing not in chain or missing in unavailable:
                raise
        unavailable.add(missing)
        sys.modules[missing] = Placeholder(missing)


class Quiet:
    """`get_ipython().events` and the like: any attribute, any call, no effect."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> None:
        return None


class Shell(Quiet):
    """`get_ipython()`: cell magics that only measure or capture run their cell; everything else has no effect."""

    running = Ran("")

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        if name in ("time", "timeit", "capture", "prun"):
            run(body, self.running, notebook.__dict__)

    def getoutput(self, *_: Any, **__: Any) -> list[str]:
        return []


shell = Shell()


def prepare() -> None:
    """Lay out the student's world: `__main__`, files that can be imported, stand-ins, and the names that IPython adds."""
    sys.argv = ["submission"]
    sys.modules["__main__"] = notebook
    sys.meta_path.append(files)  # type: ignore[arg-type]
    for module in _stand_ins():
        sys.modules[module.__name__] = module
        parent, _, child = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    builtins.__import__ = student_import
    builtins.get_ipython = lambda: shell  # type: ignore[attr-defined]
    builtins.display = _nothing  # type: ignore[attr-defined]


# --- the protocol -------------------------------------------------------------------------------------------------------


class Worker:
    """Answers the launcher's requests, one at a time, until the launcher hangs up."""

    def __init__(self, channel: socket.socket, frame_bytes: int) -> None:
        self.channel, self.frame_bytes = channel, frame_bytes
        self.kept: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}
        """The number of each kept object by its id, which is its own as long as it is kept."""
        self.generators: dict[int, Generator] = {}
        """The random generators lent by the calls that are under way."""
        self.calls = 0

    def serve(self) -> None:
        while True:
            self.answer(self.receive())

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = wire.decode(wire.receive(self.channel, None, self.frame_bytes), self.resolve)
        return message

    def send(self, **message: Any) -> None:
        wire.send(self.channel, wire.encode(message, self.frame_bytes))

    def answer(self, request: dict[str, Any]) -> None:
        op = request["op"]
        if op == "call":
            self.call(request)
        elif op == "cell":
            shell.running = ran = Ran(request["name"])
            run(request["code"], ran, notebook.__dict__)
            self.send(op="ran", **ran.report())
        elif op == "source":
            files.add(request["name"], request["code"])
            self.send(op="done")
        elif op == "file":
            self.send(op="ran", **files.load(request["name"]).report())
        elif op == "data":
            with open(os.path.basename(request["name"]), "wb") as file:
                file.write(request["data"].tobytes())
            self.send(op="ran", **Ran(request["name"]).report())
        elif op == "names":
            self.send(op="names", names=sorted(self.names())[:10_000])
        elif op == "forget":
            self.kept.clear()
            self.numbers.clear()
            self.send(op="done")

    def names(self) -> set[str]:
        return {
            name for space in spaces for name in list(space) if type(name) is str and _function(space, name) is not None
        }

    def call(self, request: dict[str, Any]) -> None:
        """Call a function and send what came of it: the result, the arguments as they are now, what was printed."""
        self.calls += 1
        try:
            self.send(**self.outcome(**{key: request[key] for key in ("function", "arguments", "keep", "staying")}))
        except wire.WireError as problem:
            self.send(op="error", kind="not_plain", message=f"returned {problem}")
        except MemoryError:
            self.send(op="error", kind="raised", message="MemoryError: no room for what it returned")
        finally:
            self.calls -= 1
            if not self.calls:
                self.generators.clear()

    def outcome(self, function: Any, arguments: list[Any], keep: list[int], staying: list[int]) -> dict[str, Any]:
        """`staying` are the positions of arguments that are kept objects: these do not go out as data."""
        if isinstance(function, str):
            found = [thing for space in spaces if (thing := _function(space, function)) is not None]
            if not found:
                return {"op": "error", "kind": "missing", "message": f"{function} is not defined"}
            function = found[0]
        with wire.quiet() as printed:
            try:
                result = function(*arguments)
            except BaseException as problem:
                kind = "not_started" if wire.unwritten(problem) else "raised"
                return {"op": "error", "kind": kind, "message": wire.describe(problem) + _place(problem)}
        try:
            value = wire.hand_out(result, keep, self.keep)
        except wire.NotPlain as problem:
            return {"op": "error", "kind": "not_plain", "message": f"returned {problem}"}
        try:
            left = [None if at in staying else wire.plain(argument, self.keep) for at, argument in enumerate(arguments)]
        except wire.NotPlain as problem:
            return {"op": "error", "kind": "not_plain", "message": f"left {problem} in an argument"}
        return {"op": "answer", "value": value, "arguments": left, "printed": printed.text}

    def keep(self, thing: Any) -> wire.Tag:
        """A number for what stays here; what was lent goes back as what it is outside."""
        if isinstance(thing, Lent):
            return wire.Tag("lent", [thing.number])
        for number, rng in self.generators.items():
            if rng is thing:
                return wire.Tag("lent", [number, *wire.generator_state(rng)])
        number = self.numbers.setdefault(id(thing), len(self.numbers))
        self.kept[number] = thing
        return wire.Tag("kept", number)

    def resolve(self, kind: str, payload: Any) -> Any:
        if kind == "kept":
            return self.kept[payload]
        number, *state = payload
        if not state:
            return Lent(self, number)
        self.generators[number] = rng = wire.new_generator(state)
        return rng


def _function(space: dict[str, Any], name: str) -> Any:
    thing = space.get(name)
    return thing if callable(thing) and not isinstance(thing, Missing) else None


class Lent:
    """A function of the engine's, called from in here."""

    def __init__(self, worker: Worker, number: int) -> None:
        self.worker, self.number = worker, number

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        try:
            positional = [wire.crossing(argument) for argument in arguments]
            named = {name: wire.crossing(argument) for name, argument in keywords.items()}
            self.worker.send(op="callback", number=self.number, arguments=positional, keywords=named)
        except (wire.NotPlain, wire.WireError) as problem:
            raise TypeError(f"this function takes arrays and numbers, not {problem}") from None
        while True:
            reply = self.worker.receive()
            if reply["op"] == "value":
                given = [a for a in (*arguments, *keywords.values()) if isinstance(a, Generator)]
                for rng, state in zip(given, reply["states"], strict=True):
                    wire.set_generator_state(rng, state)  # where the function has left it
                return reply["value"]
            if reply["op"] == "failed":
                raise RuntimeError(reply["message"])
            self.worker.answer(reply)  # the engine's function calls another of the student's


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    bounds = limits.Limits(**json.loads(sys.argv[2]))
    limits.apply(bounds)
    prepare()
    worker = Worker(channel, bounds.frame_bytes)
    os.dup2(1, 2)  # what comes past sys.stdout (C code, os.write) goes to /dev/null from now on
    try:
        worker.send(op="ready")
        worker.serve()
    except EOFError:
        os._exit(0)  # the launcher hung up; nothing of the student's runs on the way out


if __name__ == "__main__":
    main()
