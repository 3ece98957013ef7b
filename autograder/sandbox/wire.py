"""What may cross the wall between the engine and a student's process: plain data, in frames that are checked byte by byte.

The verdict rests on what comes back being numbers and nothing else, so this module turns any object into plain data without
running its methods (`plain`), and reads a frame on the assumption that somebody hostile wrote it (`decode`): never pickle,
sizes bounded before memory is taken, every shape checked against the bytes that are there.

A frame is an 8-byte length, a 4-byte header length, a JSON header, and the arrays' bytes in the order in which the header
names them. This file is read on both sides of the wall: standard library and NumPy only. Names are imported one by one, so
that a student who replaces `np.array` or `json.loads` does not break the worker.
"""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from json import JSONEncoder, loads
from socket import socket
from time import monotonic
from types import FrameType
from typing import Any

from numpy import (
    array,
    bool_,
    complexfloating,
    dtype,
    empty,
    errstate,
    frombuffer,
    generic,
    ndarray,
    number,
    timedelta64,
)
from numpy.random import PCG64, Generator

FRAME_BYTES = 64 * 2**20
HEADER_BYTES = 4 * 2**20
PRINTED = 20_000
"""Characters of printed text that are kept."""
_DEPTH = 32
_ITEMS = 100_000
_INTEGER_BITS = 4096
_DIMENSIONS = 32

_LENGTH = struct.Struct(">Q")
_HEADER = struct.Struct(">I")
_KINDS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16")
_DTYPES = {code: dtype("<" + code) for code in _KINDS}
_CODES = {kind: code for code, kind in _DTYPES.items()}
_WIDEST = {"f": _DTYPES["f8"], "c": _DTYPES["c16"]}
"""Where float16 and the long doubles go; every other number has a dtype of its own on the wire."""
_to_json = JSONEncoder(separators=(",", ":")).encode


class NotPlain(ValueError):
    """A value that is not numbers, text or containers of them; the message names it, as in "a generator"."""


class WireError(ValueError):
    """A frame that is too large or not what it should be."""


@dataclass(frozen=True)
class Tag:
    """Stands for something that does not cross: a kept object, a function or a random generator on the other side."""

    kind: str
    payload: Any


# --- plain data ---------------------------------------------------------------------------------------------------------


def plain(value: Any, other: Callable[[Any], Any] | None = None, most_bytes: int = FRAME_BYTES) -> Any:
    """A copy of `value` made of ndarray, bool, int, float, complex, str, None, list, tuple and dict alone.

    Subclasses become the base type by the base type's own methods: an object that lies about itself is not asked.
    Arrays come out C-contiguous and share no memory with the value. `other` is called with anything else and returns what
    should stand in its place. Raises `NotPlain` for what has no plain form, is nested deeper than 32, or is too large.
    """
    items, room = _ITEMS, most_bytes

    def take(size: int, what: str) -> None:
        nonlocal room
        room -= size
        if room < 0:
            raise NotPlain(f"{what} (more than {most_bytes / 2**20:.3g} MiB)")

    def convert(value: Any, depth: int, parent: str) -> Any:
        nonlocal items
        items -= 1
        if items < 0:
            raise NotPlain(f"a container of more than {_ITEMS:,} items")
        kind = type(value)
        if kind is range and len(value) <= items:
            value, kind = list(value), list
        if value is None or kind is bool:
            return value
        if issubclass(kind, ndarray):
            base = ndarray.view(value, ndarray)
            wide = base.dtype.newbyteorder("<")
            wide = wide if wide in _CODES else _WIDEST.get(base.dtype.kind)
            if wide is not None and base.ndim <= _DIMENSIONS:
                take(base.size * wide.itemsize, f"an array of shape {base.shape}{parent}")
                return array(base, dtype=wide, order="C", copy=True)
            if other is not None:
                return other(value)
            raise NotPlain(f"an array of dtype {base.dtype.name}{parent}")
        if issubclass(kind, str):
            take(str.__len__(value), "a text that is too long")
            return _text(str.__str__(value))
        if issubclass(kind, int):
            integer = int.__int__(value)
            if integer.bit_length() > _INTEGER_BITS:
                raise NotPlain(f"an integer of more than {_INTEGER_BITS} bits")
            return integer
        if issubclass(kind, float):
            return float.__float__(value)
        if issubclass(kind, complex):
            return complex.__complex__(value)
        if issubclass(kind, (number, bool_)) and not issubclass(kind, timedelta64):
            item = generic.item(value)
            return item if type(item) in (bool, int, float, complex) else _narrow(item)
        if issubclass(kind, (list, tuple, dict)):
            shape = list if issubclass(kind, list) else tuple if issubclass(kind, tuple) else dict
            if depth == _DEPTH:
                raise NotPlain(f"{_a(shape)} nested too deeply (or holding itself)")
            inside, deeper = f" inside {_a(shape)}", depth + 1
            if shape is list:
                return [convert(item, deeper, inside) for item in list.__iter__(value)]
            if shape is tuple:
                return tuple([convert(item, deeper, inside) for item in tuple.__iter__(value)])
            entries = {}
            for key, item in dict.items(value):
                if not issubclass(type(key), str):
                    raise NotPlain(f"a dict with {_a(type(key))} as a key")
                entries[convert(key, deeper, inside)] = convert(item, deeper, inside)
            return entries
        if other is not None:
            return other(value)
        raise NotPlain(_a(kind) + parent)

    return convert(value, 0, "")


def _narrow(scalar: Any) -> float | complex:
    """A long double, which Python has no type for, as the number nearest to it."""
    return complex(scalar) if issubclass(type(scalar), complexfloating) else float(scalar)


def _text(text: str) -> str:
    """Text that can be written as UTF-8: half a surrogate pair would bring down whoever prints it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _name(kind: type) -> str:
    """A type's own name, read past a metaclass that would answer for it."""
    return str(type.__dict__["__name__"].__get__(kind))[:60]


def _a(kind: type) -> str:
    name = _name(kind)
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def hand_out(result: Any, keep: Sequence[int], store: Callable[[Any], Any]) -> Any:
    """A function's result as plain data, with what stands at the `keep` positions of a tuple or list stored instead.

    A result that is neither is position 0 by itself.
    """
    if not keep:
        return plain(result)
    if not isinstance(result, (list, tuple)):
        return store(result) if 0 in keep and result is not None else plain(result)
    parts = [store(part) if at in keep else plain(part) for at, part in enumerate(result)]
    return parts if isinstance(result, list) else tuple(parts)


def generator_state(rng: Generator) -> list[int]:
    """The four integers that say where a PCG64 generator stands."""
    state = rng.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise NotPlain(
            f"a random generator of the kind {state['bit_generator']} (PCG64 is the one that can be handed over)"
        )
    return [state["state"]["state"], state["state"]["inc"], state["has_uint32"], state["uinteger"]]


def set_generator_state(rng: Generator, state: Any) -> None:
    """Move a PCG64 generator to where `generator_state` said. Raises `WireError` for anything else."""
    bits = (128, 128, 1, 32)
    if (
        type(state) is not list
        or len(state) != 4
        or not all(type(part) is int and 0 <= part < 2**size for part, size in zip(state, bits, strict=True))
    ):
        raise WireError("a random generator's state that is none")
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state[0], "inc": state[1]},
        "has_uint32": state[2],
        "uinteger": state[3],
    }


def new_generator(state: Any) -> Generator:
    """A PCG64 generator in the given state. Its children (`Generator.spawn`) come from the state, too, not from one seed for
    all. Raises `WireError` for what is no state."""
    set_generator_state(Generator(PCG64(0)), state)
    rng = Generator(PCG64(state[0]))
    set_generator_state(rng, state)
    return rng


def crossing(value: Any) -> Any:
    """An argument of a function that was lent, on its way out: plain data, or where a random generator stands."""
    return Tag("generator", generator_state(value)) if isinstance(value, Generator) else plain(value)


# --- frames -------------------------------------------------------------------------------------------------------------


def encode(message: Any, most_bytes: int = FRAME_BYTES) -> bytes:
    """A frame that says `message`: what `plain` returns, and tags. Raises `WireError` when it would be too large."""
    blobs: list[bytes] = []

    def pack(value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind is list:
            return [pack(item) for item in value]
        if kind is tuple:
            return {"tuple": [pack(item) for item in value]}
        if kind is dict:
            return {"dict": {key: pack(item) for key, item in value.items()}}
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        if kind is ndarray:
            blobs.append(value.tobytes())
            return {"array": [_CODES[value.dtype], list(value.shape)]}
        if kind is Tag:
            return {value.kind: value.payload}
        raise WireError(f"{_a(kind)} can't be sent")

    header = _to_json(pack(message)).encode("ascii")
    length = _HEADER.size + len(header) + sum(map(len, blobs))
    if length > most_bytes or len(header) > HEADER_BYTES:
        raise WireError(f"a message of {length:,} bytes is too large")
    return b"".join([_LENGTH.pack(length), _HEADER.pack(len(header)), header, *blobs])


def decode(frame: bytes | bytearray, tag: Callable[[str, Any], Any] | None = None) -> Any:
    """What the frame (without its length) says, or `WireError`, whoever wrote it.

    `tag(kind, payload)` resolves the tags; without it, or when it raises `WireError`, a tag is an error.
    """
    if len(frame) < _HEADER.size:
        raise WireError("a frame without a header")
    start = _HEADER.size + _HEADER.unpack_from(frame)[0]
    if start > min(len(frame), _HEADER.size + HEADER_BYTES):
        raise WireError("a header that is longer than its frame")
    try:
        tree = loads(frame[_HEADER.size : start].decode("ascii"))
    except (ValueError, RecursionError):
        raise WireError("a header that is not JSON") from None
    items, at = 4 * _ITEMS, start  # several values make a message

    def unpack_array(payload: Any) -> ndarray:
        nonlocal at
        code, shape = payload if type(payload) is list and len(payload) == 2 else (None, None)
        if type(code) is not str or code not in _DTYPES:
            raise WireError("an array of an unknown dtype")
        if type(shape) is not list or len(shape) > _DIMENSIONS:
            raise WireError("an array without a shape")
        if not all(type(size) is int and 0 <= size <= FRAME_BYTES for size in shape):
            raise WireError("an array of an impossible shape")
        count, kind = math.prod(shape), _DTYPES[code]
        if count * kind.itemsize > len(frame) - at:
            raise WireError("an array that is longer than its frame")
        try:
            if count == 0:
                return empty(shape, kind)
            values = frombuffer(frame, _DTYPES["u1"] if code == "b1" else kind, count, at).reshape(shape)
        except ValueError:
            raise WireError("an array of an impossible shape") from None
        at += count * kind.itemsize
        return array(values != 0 if code == "b1" else values, copy=True)  # a bool is 0 or 1, whatever the byte

    def unpack(node: Any, depth: int) -> Any:
        nonlocal items
        items -= 1
        if items < 0 or depth > _DEPTH + 4:  # the message itself is a container around the values
            raise WireError("a message of too many parts")
        kind = type(node)
        if node is None or kind is bool or kind is float:
            return node
        if kind is str:
            return _text(node)
        if kind is int:
            if node.bit_length() > _INTEGER_BITS:
                raise WireError("an integer that is too large")
            return node
        if kind is list:
            return [unpack(item, depth + 1) for item in node]
        if len(node) != 1:
            raise WireError("a value of an unknown kind")
        ((name, payload),) = node.items()
        if name == "tuple" and type(payload) is list:
            return tuple([unpack(item, depth + 1) for item in payload])
        if name == "dict" and type(payload) is dict:
            return {_text(key): unpack(item, depth + 1) for key, item in payload.items()}
        if name == "complex" and type(payload) is list and [type(part) for part in payload] == [float, float]:
            return complex(*payload)
        if name == "array":
            return unpack_array(payload)
        if tag is None:
            raise WireError("a value of an unknown kind")
        return tag(name, payload)

    message = unpack(tree, 0)
    if at != len(frame):
        raise WireError("a frame with bytes that belong to nothing")
    return message


def send(channel: socket, frame: bytes | bytearray, deadline: float | None = None) -> None:
    """Write a frame. Raises `TimeoutError` past the deadline (of `time.monotonic`), `EOFError` when nobody reads."""
    _set_timeout(channel, deadline)
    try:
        channel.sendall(frame)
    except TimeoutError:
        raise
    except OSError:
        raise EOFError("the other side is gone") from None


def receive(channel: socket, deadline: float | None = None, most_bytes: int = FRAME_BYTES) -> bytearray:
    """Read a frame, for `decode`. Raises `TimeoutError`, `EOFError`, or `WireError` for one that announces itself too long."""
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size, deadline))
    if length > most_bytes:
        raise WireError(f"a frame of {length:,} bytes, more than the {most_bytes:,} allowed")
    return _read(channel, length, deadline)


def _read(channel: socket, length: int, deadline: float | None) -> bytearray:
    data = bytearray(length)
    view, got = memoryview(data), 0
    while got < length:
        _set_timeout(channel, deadline)
        try:
            count = channel.recv_into(view[got:])
        except TimeoutError:
            raise
        except OSError:
            count = 0
        if count == 0:
            raise EOFError("the other side is gone")
        got += count
    return data


def _set_timeout(channel: socket, deadline: float | None) -> None:
    left = None if deadline is None else deadline - monotonic()
    if left is not None and left <= 0:
        raise TimeoutError("out of time")
    channel.settimeout(left)


# --- around a call of a student's function -----------------------------------------------------------------------------


class Printed(io.TextIOBase):
    """Stands in for stdout and stderr and keeps the beginning of what is printed."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = PRINTED

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._room > 0:
            part = text[: self._room]
            self._parts.append(part)
            self._room -= len(part)
        return len(text)

    @property
    def text(self) -> str:
        return _text("".join(self._parts))


@contextmanager
def quiet() -> Iterator[Printed]:
    """Warnings and floating-point alarms off, and what is printed collected instead of shown."""
    printed = Printed()
    with redirect_stdout(printed), redirect_stderr(printed), warnings.catch_warnings(), errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield printed


def one_line(text: str, most: int = 300) -> str:
    """Text as one line that is safe to print: no control characters, no line breaks, not long."""
    text = "".join(c if c.isprintable() else " " for c in _text(text[: 4 * most]))
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def describe(problem: BaseException) -> str:
    """An exception as one line, "ValueError: what it says", even when saying it fails."""
    name, text = _name(type(problem)), _said(problem)
    if isinstance(problem, (AttributeError, ImportError)) and (gone := _GONE_FROM_NUMPY.match(text)):
        old = gone["old"]
        if instead := gone["instead"] or _INSTEAD.get(old):
            text = f"np.{old} is no longer in NumPy: write {instead}"
    return one_line(f"{name}: {text}" if text else name)


def unwritten(problem: BaseException) -> bool:
    """Whether an exception says that a function has not been written yet: by NotImplementedError, or as a dropout does
    whose starter code ends in ``out.astype(...)`` while ``out`` is still None."""
    return isinstance(problem, NotImplementedError) or (
        isinstance(problem, AttributeError) and _said(problem) == "'NoneType' object has no attribute 'astype'"
    )


def _said(problem: BaseException) -> str:
    try:
        return str(problem)
    except BaseException:
        return ""


_GONE_FROM_NUMPY = re.compile(
    r"(?:module 'numpy' has no attribute '|`np\.|cannot import name ')(?P<old>\w+)"
    r"(?:.*?(?:alias for the builtin|2\.0 release\. Use) `(?P<instead>[^`]+)`)?",
    re.DOTALL,
)
_INSTEAD = {
    "asscalar": "x.item()",
    "cumproduct": "np.cumprod",
    "in1d": "np.isin",
    "msort": "np.sort(x, axis=0)",
    "product": "np.prod",
    "rank": "np.ndim",
    "row_stack": "np.vstack",
    "trapz": "np.trapezoid",
    "unicode": "str",
}
"""What to write for names that were in NumPy once, where NumPy itself does not say it any more."""


def innermost(problem: BaseException, ours: Callable[[FrameType], bool]) -> tuple[FrameType, int] | None:
    """The deepest frame and line of an exception's traceback that `ours` accepts: where the student's code went wrong."""
    found, step = None, problem.__traceback__
    while step is not None:
        if ours(step.tb_frame):
            found = step.tb_frame, step.tb_lineno
        step = step.tb_next
    return found
