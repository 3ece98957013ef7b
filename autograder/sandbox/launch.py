"""Starts the process that holds a student's code, talks to it, and takes every way it can fail for granted.

The process is a worker inside bubblewrap (an existing tool, see bwrap(1)): no network, nothing mounted but the interpreter
and NumPy, no other processes, nothing to write to but a small scratch directory. A call that does not come back in time, or
a process that ends or talks nonsense, costs that call; the worker is started again when it is next needed.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np

from autograder.exercise import Answer, CellOutcome, Handle, StudentError
from autograder.sandbox import wire
from autograder.sandbox.limits import Limits, system_call_filter

_HERE = Path(__file__).resolve().parent
_SIBLINGS = ("worker.py", "wire.py", "limits.py")
_NESTED_CALLS = 8
_PATIENCE = 2
"""After this many hangs or crashes a function is not called again: the restarts are for the others."""


class SandboxUnavailable(RuntimeError):
    """Untrusted code can't be run here as it was asked; the message says why and what to do."""


class SandboxWarning(UserWarning):
    """A submission runs without isolation."""


@dataclass(frozen=True)
class Cell:
    """A piece of a submission: a notebook cell, a ``.py`` file that other files can import, or a file of ``data`` that
    lies in the folder in which the cells run. With a ``problem`` it is left out, and its outcome says why."""

    name: str
    code: str = ""
    kind: Literal["cell", "file", "data"] = "cell"
    data: bytes = field(default=b"", repr=False)
    problem: str = ""


# --- bubblewrap ---------------------------------------------------------------------------------------------------------


@functools.cache
def sandbox_problem() -> str | None:
    """Why bubblewrap can't be used on this machine, in one line with what to do; None when a trial has worked."""
    if not sys.platform.startswith("linux"):
        return f"the sandbox is bubblewrap, which is for Linux; this is {sys.platform}: grade on Linux, in WSL 2 or in a virtual machine"
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) was not found: install it, e.g. 'apt-get install bubblewrap' or 'dnf install bubblewrap'"
    try:
        trial = subprocess.run(
            [*_bubblewrap(Limits()), _python(), "-I", "-S", "-c", "pass"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as problem:
        return f"bubblewrap could not be tried: {problem}"
    if trial.returncode == 0:
        return None
    said = wire.one_line(trial.stderr.decode(errors="replace")) or f"exit status {trial.returncode}"
    return (
        f"bubblewrap is installed but can't make a sandbox here ({said}): allow unprivileged user namespaces "
        "(sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu; docker run --privileged in a container)"
    )


@functools.cache
def _options() -> str:
    """The options that this version of bubblewrap has, as its help names them."""
    return subprocess.run(["bwrap", "--help"], capture_output=True, text=True, timeout=20, check=False).stdout


def _bubblewrap(limits: Limits) -> list[str]:
    """The command that runs what follows it in a sandbox; everything not named here is absent inside."""
    size = ["--size", str(limits.scratch_bytes)] if "--size " in _options() else []
    return [
        "bwrap", "--die-with-parent", "--new-session",
        "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
        "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--cap-drop", "ALL",
        "--clearenv", *(word for name, value in _environment("/tmp").items() for word in ("--setenv", name, value)),
        *size, "--tmpfs", "/tmp", *_mounts(), "--chdir", "/tmp", "--remount-ro", "/", "--",
    ]  # fmt: skip


def _environment(home: str) -> dict[str, str]:
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
    own = f"{os.path.realpath(sys.base_prefix)}/lib"  # where some interpreters are told by this variable to find themselves
    path = {"LD_LIBRARY_PATH": own} if own in os.environ.get("LD_LIBRARY_PATH", "").split(":") else {}
    return {"HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", **threads, **path}


def _python() -> str:
    """The interpreter itself: a virtual environment's is a link to it, and the environment is not in the sandbox."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _numpy() -> Path:
    return Path(np.__file__).resolve().parent


@functools.cache
def _mounts() -> tuple[str, ...]:
    """What the interpreter and NumPy need, read-only and under their own paths; other packages are covered."""
    words: list[str] = []

    def show(path: str | Path) -> None:
        words.extend(["--ro-bind", str(path), str(path)])

    base = os.path.realpath(sys.base_prefix)
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    debian = bool(multiarch) and os.path.isdir(f"/usr/lib/{multiarch}")
    libraries = [f"/usr/lib/{multiarch}", "/usr/lib64"] if debian else ["/usr/lib", "/usr/lib64"]
    if base != "/usr":
        libraries += [f"{base}/lib", f"{base}/{sys.platlibdir}"]
    libraries += [os.path.realpath(sysconfig.get_path("stdlib"))]
    shown: list[str] = []
    for path in libraries:
        if os.path.isdir(path) and not os.path.islink(path) and not any(f"{path}/".startswith(f"{p}/") for p in shown):
            shown.append(path)
            show(path)
    for path in ("/lib", "/lib64", "/usr/lib64"):
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path) and path not in shown:
            show(f"{path}/{multiarch}" if debian and path == "/lib" else path)
    for path in ("/etc/ld.so.cache", "/etc/alternatives"):
        words += ["--ro-bind-try", path, path]
    show(_python())
    others = [cover for path in shown for name in ("site-packages", "dist-packages") for cover in _found(path, name)]
    for cover in others:
        words += ["--tmpfs", cover]
    for package in (_numpy(), _numpy().with_name("numpy.libs")):
        if package.is_dir():
            show(package)
    for cover in others:
        words += ["--remount-ro", cover]
    for name in _SIBLINGS:
        words += ["--ro-bind", str(_HERE / name), f"/worker/{name}"]
    for device in ("null", "zero", "random", "urandom"):
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    return tuple(words)


def _found(library: str, name: str) -> list[str]:
    """Directories of packages in a library directory that is itself `python3.x` or holds it."""
    return [path for pattern in (name, f"python3*/{name}") for path in sorted(glob.glob(f"{library}/{pattern}"))]


# --- one process --------------------------------------------------------------------------------------------------------


class _Process:
    """A worker with its channel, from start to end. Not to be shared between threads; dies with the one that started it."""

    def __init__(self, limits: Limits, isolated: bool) -> None:
        self.isolated = isolated
        self._scratch = None if isolated else tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.channel, theirs = socket.socketpair()
        passed = [theirs.fileno()]
        script = "/worker/worker.py" if isolated else str(_HERE / "worker.py")
        worker = [_python(), "-I", "-S", "-B", script, str(theirs.fileno())]
        command = [*worker, json.dumps(asdict(limits)), str(_numpy().parent)]
        if isolated:
            wall, rules = _bubblewrap(limits), system_call_filter()
            if rules is not None:
                reader, writer = os.pipe()
                os.write(writer, rules)
                os.close(writer)
                passed.append(reader)
                wall[-1:] = ["--seccomp", str(reader), "--"]
            command = wall + command
        home = self._scratch.name if self._scratch else "/"
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                cwd=home, env=_environment(home) | {"PATH": os.environ.get("PATH", os.defpath)},
                pass_fds=passed, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            self.channel.close()
            self._clean()
            raise
        finally:
            theirs.close()
            for descriptor in passed[1:]:
                os.close(descriptor)
        try:
            self._greet(limits)
        except BaseException:
            self.end()
            raise

    def _greet(self, limits: Limits) -> None:
        assert self._process.stderr is not None
        try:
            wire.decode(wire.receive(self.channel, monotonic() + limits.start_seconds))
            self._process.stderr.close()
        except (TimeoutError, EOFError, wire.WireError) as problem:
            self._stop()
            said = self._process.stderr.read(10_000).decode(errors="replace").strip().rpartition("\n")[2]
            raise SandboxUnavailable(f"the worker process did not start: {wire.one_line(said) or problem}") from None

    def _stop(self) -> None:
        """Kill it and everything that it started: its PID namespace ends with it, or else its process group."""
        if self.isolated:
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody left in the group
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ending(self) -> str:
        """How it ended by itself, in words; waits a moment for it."""
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "closed its channel"
        number = -status if status < 0 else status - 128  # bubblewrap reports a signal as a shell does
        if number > 0 and number in set(signal.Signals):
            return f"ended by {signal.Signals(number).name}"
        return f"ended with exit status {status}"

    def end(self) -> None:
        """Leave nothing behind."""
        self._stop()
        self.channel.close()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._clean()

    def _clean(self) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()


# --- a submission -------------------------------------------------------------------------------------------------------


class _Lost(Exception):
    """The worker gave no answer and is no more."""

    def __init__(self, kind: Literal["timeout", "crash"], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def _problem(cell: Cell) -> str:
    """Why a piece of a submission can't go into the sandbox; empty where it can."""
    too_long = len(json.dumps(cell.code)) > wire.HEADER_BYTES // 2
    return cell.problem or (f"too long to be run: {len(cell.code):,} characters" if too_long else "")


class Sandbox:
    """A submission whose code runs behind the wall; a `Student` for the engine. Use it in a ``with`` block.

    ``cells`` are its files (laid out or run first, each a module of its own) and notebook cells (one namespace, in order). Afterwards
    ``outcomes`` tells what happened to each, in the order given, ``names`` what functions there are, and ``isolated``
    whether the wall is bubblewrap. Without it a plain process with limits is used and a `SandboxWarning` given, unless
    ``require`` is true: then `SandboxUnavailable` is raised. To be used by one thread, which must outlive it.
    """

    def __init__(self, cells: Sequence[Cell], limits: Limits = Limits(), require: bool = False) -> None:  # noqa: B008
        problem = sandbox_problem()
        if problem and require:
            raise SandboxUnavailable(problem)
        if problem and sys.platform == "win32":
            raise SandboxUnavailable(f"{problem} (without it a submission can be run on Linux and macOS only)")
        if problem:
            warnings.warn(f"submissions run WITHOUT isolation: {problem}", SandboxWarning, stacklevel=2)
        self.isolated = problem is None
        self.limits = limits
        self.names: frozenset[str] = frozenset()
        self._cells = tuple(cells)
        self._order = sorted(range(len(cells)), key=lambda index: ("data", "file", "cell").index(cells[index].kind))
        self._outcomes = {
            index: CellOutcome(cell.name, error=problem, skipped=True)
            for index, cell in enumerate(cells)
            if (problem := _problem(cell))
        }
        self._process: _Process | None = None
        self._starts = 0
        self._era = 0
        """Counts restarts and forgettings: a handle is good in the era that it is from."""
        self._spent = 0.0
        self._deadlines: list[float] = []
        """Of the calls that are under way, outermost first."""
        self._lent: dict[int, Any] = {}
        self._lent_count = 0
        self._generators = 0
        """How many random generators the last frame brought."""
        self._closed = False
        self._losses: Counter[str] = Counter()
        self._last_loss: dict[str, _Lost] = {}

    def __enter__(self) -> Sandbox:
        try:
            self._ready()
            self.names = frozenset(self._request({"op": "names"}, self.limits.cell_seconds)["names"])
        except (StudentError, _Lost):
            pass  # nothing can be called any more, and each call will say why
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process for good. Safe to call twice."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            self._lent.clear()
            process.end()

    @property
    def outcomes(self) -> list[CellOutcome]:
        """What happened when each cell or file ran."""
        not_run = "not run: the submission used up its time or its restarts before"
        return [
            self._outcomes.get(index, CellOutcome(cell.name, error=not_run, skipped=True))
            for index, cell in enumerate(self._cells)
        ]

    def defines(self, name: str) -> bool:
        """Whether the submission has a function of that name."""
        return name in self.names

    def forget(self) -> None:
        """Let go of all kept objects and of all functions that were lent: neither can be used from now on.

        Until then both live on, since a function that the student returned (a schedule) may call one that it was given.
        """
        self._era += 1
        self._lent.clear()
        if self._process is not None:
            with contextlib.suppress(_Lost):
                self._request({"op": "forget"}, self.limits.call_seconds)

    def call(self, function: str | Handle, arguments: Sequence[Any], keep: Sequence[int] = ()) -> Answer:
        """Call a function of the submission's. See `autograder.exercise.Student.call`.

        A `numpy.random.Generator` among the arguments is advanced as the student's function advanced its own, so it
        should not be one that anything else depends on. What a student has put into a dict argument and is not plain
        data comes back as a handle, to be passed in again.
        """
        if isinstance(function, str) and self._losses[function] >= _PATIENCE:
            lost = self._last_loss[function]
            raise StudentError(lost.kind, f"{lost.message} ({_PATIENCE} times, so it was not called again)")
        if len(self._deadlines) >= _NESTED_CALLS:
            raise StudentError("raised", "functions that call each other without end")
        self._ready()
        staying = [at for at, argument in enumerate(arguments) if isinstance(argument, Handle)]
        request = {
            "op": "call",
            "function": function if isinstance(function, str) else self._lend(function),
            "arguments": wire.plain(list(arguments), self._lend, self.limits.frame_bytes),
            "keep": [int(position) for position in keep],
            "staying": staying,
        }
        try:
            reply = self._request(request, self.limits.call_seconds)
        except _Lost as lost:
            if isinstance(function, str):
                self._losses[function] += 1
                self._last_loss[function] = lost
            raise StudentError(lost.kind, lost.message) from None
        if reply["op"] == "error":
            raise StudentError(reply["kind"], wire.one_line(reply["message"]))
        left = [arguments[at] if at in staying else argument for at, argument in enumerate(reply["arguments"])]
        return Answer(reply["value"], tuple(left), reply["printed"][: wire.PRINTED])

    def _ready(self) -> None:
        """See to it that there is a worker that has run the cells, leaving out those that a worker did not survive."""
        if self._closed:
            raise RuntimeError("this sandbox has been closed")
        if self._process is None and self._deadlines:
            raise StudentError("crash", "the process was ended by an earlier call inside this one")
        while self._process is None:
            if self._left() <= 0:
                raise StudentError("timeout", f"the submission used up its {self.limits.total_seconds:g} s")
            if self._starts > self.limits.restarts:
                raise StudentError(
                    "crash", f"the submission's process had to be ended {self._starts} times; no more calls"
                )
            self._starts += 1
            self._era += 1
            self._process = _Process(self.limits, self.isolated)
            try:
                self._run_cells()
            except _Lost:
                continue

    def _run_cells(self) -> None:
        runnable = [index for index in self._order if index not in self._outcomes or not self._outcomes[index].skipped]
        for cell in (self._cells[index] for index in runnable):
            if cell.kind == "file":
                self._request({"op": "source", "name": cell.name, "code": cell.code}, self.limits.cell_seconds)
        for index in runnable:
            cell = self._cells[index]
            request: dict[str, Any] = {"op": "cell", "name": cell.name, "code": cell.code}
            if cell.kind == "file":
                request = {"op": "file", "name": cell.name}
            elif cell.kind == "data":
                request = {"op": "data", "name": cell.name, "data": np.frombuffer(cell.data, np.uint8)}
            try:
                reply = self._request(request, self.limits.cell_seconds)
            except _Lost as lost:
                if self._left() > 0 or lost.kind == "crash":
                    self._outcomes[index] = CellOutcome(cell.name, error=lost.message, skipped=True)
                raise
            outcome = CellOutcome(cell.name, reply["printed"][: wire.PRINTED], wire.one_line(reply["error"]))
            self._outcomes.setdefault(index, outcome)

    def _left(self) -> float:
        return self.limits.total_seconds - self._spent

    def _lend(self, value: Any) -> wire.Tag:
        """What goes in instead of something that is not plain data: a kept object's number, or one to call back by."""
        if isinstance(value, Handle):
            era, number = value.key if isinstance(value.key, tuple) and len(value.key) == 2 else (None, None)
            if era != self._era:
                raise StudentError(
                    "crash", "the object that it returned earlier was lost when the process had to be ended"
                )
            return wire.Tag("kept", number)
        if not isinstance(value, np.random.Generator) and not callable(value):
            raise wire.NotPlain(f"{type(value).__name__} is not plain data, a function or a random generator")
        state = wire.generator_state(value) if isinstance(value, np.random.Generator) else []
        self._lent_count += 1
        self._lent[self._lent_count] = value
        return wire.Tag("lent", [self._lent_count, *state])

    def _request(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and wait for its reply, serving callbacks meanwhile. Raises `_Lost`, and then there is no worker."""
        process, started = self._process, monotonic()
        assert process is not None
        deadline = min([started + min(seconds, self._left()), *self._deadlines])
        frame: bytes | bytearray = wire.encode(message, self.limits.frame_bytes)
        self._deadlines.append(deadline)
        try:
            wire.send(process.channel, frame, deadline)
            for _ in range(self.limits.callbacks + 1):
                frame = wire.receive(process.channel, deadline, self.limits.frame_bytes)
                self._generators = 0
                reply = wire.decode(frame, self._resolve)
                if not (isinstance(reply, dict) and reply.get("op") == "callback"):
                    if self._generators:
                        raise wire.WireError("a random generator as an answer")
                    _expect(message, reply)
                    return reply  # type: ignore[no-any-return]
                answer = self._call_back(reply)
                if self._process is not process:
                    raise _Lost("crash", "the process was ended by a call inside this one")
                wire.send(process.channel, answer, deadline)
            raise _Lost("timeout", f"called the functions it was given more than {self.limits.callbacks:,} times")
        except TimeoutError:
            self._end()
            if deadline < started + seconds and len(self._deadlines) == 1:
                raise _Lost("timeout", f"the submission used up its {self.limits.total_seconds:g} s") from None
            raise _Lost("timeout", f"did not finish within {seconds:g} s") from None
        except EOFError:
            ending = process.ending()
            self._end()
            raise _Lost("crash", f"the process {ending}") from None
        except wire.WireError as problem:
            self._end()
            raise _Lost("crash", f"the process sent what is not an answer: {problem}") from None
        except BaseException:
            if self._process is process:  # stopped in the middle: what comes next on the channel belongs to nothing
                self._end()
            raise
        finally:
            self._deadlines.pop()
            if not self._deadlines:
                self._spent += monotonic() - started

    def _call_back(self, request: dict[str, Any]) -> bytes:
        """Call a function of the engine's for the student's; the frame that says what came of it."""
        number, arguments, keywords = (request.get(key) for key in ("number", "arguments", "keywords"))
        function = self._lent.get(number) if type(number) is int else None
        if type(arguments) is not list or type(keywords) is not dict:
            raise wire.WireError("a callback without arguments")
        if not callable(function):
            return wire.encode({"op": "failed", "message": "this function is not lent any more"})
        try:
            value = wire.plain(function(*arguments, **keywords))
            given = [a for a in (*arguments, *keywords.values()) if isinstance(a, np.random.Generator)]
            states = [wire.generator_state(rng) for rng in given]
            return wire.encode({"op": "value", "value": value, "states": states}, self.limits.frame_bytes)
        except Exception as problem:
            return wire.encode({"op": "failed", "message": wire.describe(problem)})

    def _resolve(self, kind: str, payload: Any) -> Any:
        """What a tag from inside stands for: a kept object, or something that was lent and comes back."""
        if kind == "kept" and type(payload) is int:
            return Handle((self._era, payload))
        if kind == "generator":  # on its way to a function that was lent; nothing else may bring one
            self._generators += 1
            return wire.new_generator(payload)
        number, *state = payload if kind == "lent" and type(payload) is list and payload else [None]
        if type(number) is not int or number not in self._lent:
            raise wire.WireError("a reference to nothing")
        lent = self._lent[number]
        if isinstance(lent, np.random.Generator):
            if state[1:2] != wire.generator_state(lent)[1:2]:  # its increment: the stream that it draws from
                raise wire.WireError("another random generator's state")
            wire.set_generator_state(lent, state)
        return lent


def _expect(message: dict[str, Any], reply: Any) -> None:
    """Raise `WireError` unless the reply has the form that answers the request."""
    forms: dict[str, dict[str, type]] = {
        "answer": {"arguments": list, "printed": str},
        "error": {"kind": str, "message": str},
        "ran": {"printed": str, "error": str},
        "names": {"names": list},
        "done": {},
    }
    answers = {"call": ("answer", "error"), "cell": ("ran",), "file": ("ran",), "data": ("ran",), "names": ("names",)}
    op = reply.get("op") if type(reply) is dict else None
    if op not in answers.get(message["op"], ("done",)):
        raise wire.WireError("a reply to another question")
    if any(type(reply.get(key)) is not form for key, form in forms[op].items()):
        raise wire.WireError("a reply with parts missing")
    if op == "answer" and ("value" not in reply or len(reply["arguments"]) != len(message["arguments"])):
        raise wire.WireError("a reply with parts missing")
    if op == "error" and reply["kind"] not in ("missing", "not_started", "raised", "not_plain"):
        raise wire.WireError("an error of an unknown kind")
    if op == "names" and not all(type(name) is str for name in reply["names"]):
        raise wire.WireError("names that are no text")
