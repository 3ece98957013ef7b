"""What crosses the wall is plain data, and a frame that somebody tampered with is an error and nothing worse."""

import math
import socket
import struct
import time
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

from autograder.sandbox import wire
from autograder.sandbox.wire import NotPlain, Tag, WireError, decode, encode, plain

PREFIX = 8


def there_and_back(value):
    return decode(encode(plain(value))[PREFIX:])


def frame(header: bytes, blobs: bytes = b"") -> bytes:
    return struct.pack(">I", len(header)) + header + blobs


def assert_same(one, two):
    assert type(one) is type(two)
    if isinstance(one, np.ndarray):
        assert one.dtype == two.dtype and one.shape == two.shape
        np.testing.assert_array_equal(one, two)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    elif isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            assert_same(one[key], two[key])
    else:
        assert one == two or (one != one and two != two)


VALUES = [
    None, True, False, 0, -7, 2**100, 1.5, -0.0, math.inf, -math.inf, math.nan, 1e-320, 2 + 3j, complex(math.nan, math.inf),
    "", "text", "ümläut ✓", [], (), {}, [1, (2.0, None), {"a": [True]}], {"": {"b": ()}},
    {"tuple": 1}, {"array": ["f8", [2]]}, {"kept": 3},
    np.zeros((0, 3)), np.array(3.0), np.arange(6).reshape(2, 3), np.array([math.nan, math.inf]), np.array([True, False]),
    np.arange(3, dtype="u1"), np.arange(3, dtype="i2"), np.ones(2, "f4"), np.ones((1, 2, 1), "c8"), np.array([1j]),
    (np.ones(2), {"cache": [np.zeros(1), np.ones((2, 2))]}),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_plain_data_arrives_as_it_was(value):
    assert_same(there_and_back(value), value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.clongdouble(0.5j), 0.5j),
        (np.int8(-3), -3),
        (np.bool_(True), True),
        (np.complex64(1j), 1j),
        (np.str_("a"), "a"),
        (np.ones(2, "f2"), np.ones(2)),
        (np.ones(2, np.longdouble), np.ones(2)),
        (np.ones(2, ">f8"), np.ones(2)),
        (np.ones((2, 2)).T[::-1, ::2], np.ones((2, 1))),
        (np.matrix([[1.0, 2.0]]), np.array([[1.0, 2.0]])),
        (np.ma.masked_array([1.0, 2.0], [True, False]), np.array([1.0, 2.0])),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (namedtuple("Cache", "x mask")(1, 2), (1, 2)),
        ("half a pair \ud800", "half a pair ?"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_relatives_of_plain_data_become_plain(value, wanted):
    assert_same(plain(value), wanted)
    assert_same(there_and_back(value), wanted)


def cyclic():
    a: list = [1]
    a.append(a)
    b: dict = {}
    b["self"] = (b, b)
    return [a, b]


def deep(levels):
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((i for i in ()), "a generator"),
        ([lambda: 0], "a function inside a list"),
        (object(), "an object"),
        ({1, 2}, "a set"),
        (b"x", "a bytes"),
        ({1: 2}, "a dict with an int as a key"),
        (np.array([None]), "an array of dtype object"),
        (np.array(["a"]), "an array of dtype str32"),
        (np.zeros(1, [("a", "f8")]), "an array of dtype void64"),
        (np.array(["2020-01-01"], "M8[D]"), "an array of dtype datetime64[D]"),
        (np.timedelta64(1), "a timedelta64"),
        (np.random.default_rng(0), "a Generator"),
        (deep(40), "nested too deeply"),
        (cyclic()[0], "nested too deeply"),
        (cyclic()[1], "nested too deeply"),
        ([0] * 200_000, "more than 100,000 items"),
        (np.broadcast_to(0.0, (10**6, 10**6)), "an array of shape (1000000, 1000000)"),
        ([np.zeros(2**22)] * 3, "more than 64 MiB"),
        ("x" * 2**27, "a text that is too long"),
        (1 << 5000, "an integer of more than 4096 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "",
)
def test_anything_else_is_named_and_refused(value, message):
    with pytest.raises(NotPlain) as caught:
        plain(value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_come_out_as_copies():
    x = np.arange(6.0).reshape(2, 3)[:, ::2]
    y = plain(x)
    x[:] = -1
    np.testing.assert_array_equal(y, [[0, 2], [3, 5]])
    assert y.flags.c_contiguous and y.flags.owndata and y.flags.writeable


def liar(*_, **__):
    raise AssertionError("a method of a hostile object was called")


LIES = """__array__ __array_interface__ __array_struct__ __array_finalize__ __array_ufunc__ __array_function__ __iter__ __len__
__eq__ __ne__ __getitem__ __bool__ __int__ __float__ __index__ __complex__ __str__ __repr__ __hash__ __format__ __copy__
__deepcopy__ __reduce__ __reduce_ex__ __array_wrap__ item tolist astype copy view items keys values tobytes encode"""


def hostile(base, *arguments):
    lies = {name: liar for name in LIES.split() if hasattr(base, name)}
    if base is np.ndarray:
        lies |= {name: property(liar) for name in ("dtype", "shape", "size", "nbytes", "flags", "ndim", "T", "data")}
        lies["__array_interface__"] = property(liar)
    kind = type(f"Hostile_{base.__name__}", (base,), {"__class__": property(liar)})
    value = np.ones((2, 3)).view(kind) if base is np.ndarray else kind(*arguments)
    for name, lie in lies.items():
        setattr(kind, name, lie)
    return value


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (hostile(np.ndarray), np.ones((2, 3))),
        (hostile(list, [1, 2]), [1, 2]),
        (hostile(tuple, [1, 2]), (1, 2)),
        (hostile(dict, {"a": 1}), {"a": 1}),
        (hostile(str, "abc"), "abc"),
        (hostile(int, 3), 3),
        (hostile(float, 1.5), 1.5),
        (hostile(complex, 2j), 2j),
        (hostile(np.float64, 1.5), 1.5),
        (hostile(np.float32, 1.5), 1.5),
    ],
    ids=["ndarray", "list", "tuple", "dict", "str", "int", "float", "complex", "float64", "float32"],
)
def test_objects_that_lie_about_themselves_are_not_asked(value, wanted):
    assert_same(plain(value), wanted)


def test_an_object_that_equals_everything_is_refused():
    class Equal:
        __class__ = np.ndarray  # type: ignore[assignment]
        dtype, shape = np.dtype(float), ()

        def __eq__(self, other):
            return True

        def __array__(self, *_, **__):
            return np.ones(3)

    with pytest.raises(NotPlain, match="an Equal"):
        plain(Equal())


def test_what_is_not_plain_can_be_replaced():
    assert plain([1, print], lambda thing: Tag("lent", 5)) == [1, Tag("lent", 5)]
    sent = encode({"f": Tag("lent", [5])})[PREFIX:]
    assert decode(sent, lambda kind, payload: (kind, payload)) == {"f": ("lent", [5])}
    with pytest.raises(WireError):
        decode(sent)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\0\0\0",
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 5) + b"{}",
        frame(b""),
        frame(b"nonsense"),
        frame(b"\xff\xfe{}"),
        frame(b'"' + "ü".encode() + b'"'),
        frame(b"1 2"),
        frame(b"[" * 100_000),
        frame(b"[" * 60 + b"]" * 60),
        frame(b"[" + b"[]," * 500_000 + b"[]]"),
        frame(b"9" * 5000),
        frame(b"9" * 2000),
        frame(b"{}"),
        frame(b'{"tuple":[],"dict":{}}'),
        frame(b'{"tuple":{}}'),
        frame(b'{"dict":[]}'),
        frame(b'{"pickle":"gASVAAAA"}'),
        frame(b'{"kept":1}'),
        frame(b'{"lent":[1]}'),
        frame(b'{"complex":[1,2]}'),
        frame(b'{"complex":[1.0]}'),
        frame(b'{"complex":1.0}'),
        frame(b"null", b"stray"),
        frame(b'{"array":["O",[1]]}', b"12345678"),
        frame(b'{"array":["V8",[1]]}', b"12345678"),
        frame(b'{"array":["f8"]}', b"12345678"),
        frame(b'{"array":[["f8"],[1]]}', b"12345678"),
        frame(b'{"array":{"f8":1}}', b"12345678"),
        frame(b'{"array":["f8",1]}', b"12345678"),
        frame(b'{"array":["f8",[2]]}', b"12345678"),
        frame(b'{"array":["f8",[-1]]}', b"12345678"),
        frame(b'{"array":["f8",[-1,-1]]}', b"12345678"),
        frame(b'{"array":["f8",[true]]}', b"12345678"),
        frame(b'{"array":["f8",[1.0]]}', b"12345678"),
        frame(b'{"array":["f8",[null]]}', b"12345678"),
        frame(b'{"array":["f8",[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]]}', b"12345678"),
        frame(b'{"array":["f8",[99999999999999999999,0]]}'),
        frame(b'{"array":["f8",[67108864,67108864,67108864,0]]}'),
        frame(b'{"array":["f8",[4294967296,4294967296]]}'),
        frame(b'[{"array":["f8",[1]]},{"array":["f8",[1]]}]', b"12345678"),
        frame(b'{"array":["f8",[0]]}', b"12345678"),
    ],
    ids=lambda damaged: repr(damaged[4:50]),
)
def test_a_damaged_frame_is_a_wire_error(damaged):
    with pytest.raises(WireError) as caught:
        decode(damaged)
    assert "\n" not in str(caught.value)


def test_mutated_and_random_frames_never_raise_anything_but_wire_error():
    rng = np.random.default_rng(0)
    good = [encode(plain(value))[PREFIX:] for value in VALUES]
    good.append(encode({"op": "answer", "value": np.ones((2, 3)), "arguments": [{"a": 1.0}], "printed": "x"})[PREFIX:])
    survived = 0
    for _ in range(20_000):
        data = bytearray(good[rng.integers(len(good))])
        match rng.integers(4):
            case 0:
                data = bytearray(rng.bytes(rng.integers(60)))
            case 1:
                data = data[: rng.integers(len(data) + 1)]
            case 2:
                for at in rng.integers(len(data), size=rng.integers(1, 4)):
                    data[at] = rng.integers(256)
            case 3:
                other = good[rng.integers(len(good))]
                data = data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]
        try:
            plain(decode(data))  # what is accepted is plain
            survived += 1
        except WireError:
            pass
    assert survived > 0


def test_a_bool_array_holds_nothing_but_zeros_and_ones_whatever_the_bytes():
    values = decode(frame(b'{"array":["b1",[3]]}', b"\x00\x02\xff"))
    assert values.view("u1").tolist() == [0, 1, 1]


def test_what_is_too_large_to_send_is_an_error_before_it_is_sent():
    with pytest.raises(WireError, match="too large"):
        encode({"x": np.zeros(1000)}, most_bytes=1000)
    with pytest.raises(WireError, match="too large"):
        encode({"x": "y" * (wire.HEADER_BYTES + 1)})
    with pytest.raises(WireError, match="a set can't be sent"):
        encode({"x": {1}})


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_frames_travel_over_a_socket(pair):
    ours, theirs = pair
    wire.send(ours, encode({"x": np.arange(1000.0)}), time.monotonic() + 5)
    message = decode(wire.receive(theirs, time.monotonic() + 5))
    np.testing.assert_array_equal(message["x"], np.arange(1000.0))


def test_a_length_beyond_the_bound_is_refused_before_memory_is_taken(pair):
    ours, theirs = pair
    ours.sendall(struct.pack(">Q", 2**60))
    with pytest.raises(WireError, match="more than"):
        wire.receive(theirs, time.monotonic() + 5)


def test_silence_times_out_and_a_closed_channel_ends(pair):
    ours, theirs = pair
    ours.sendall(struct.pack(">Q", 100) + b"half")
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.receive(theirs, started + 0.1)
    assert time.monotonic() - started < 1
    with pytest.raises(TimeoutError):
        wire.receive(theirs, started - 1)
    with pytest.raises(TimeoutError):
        wire.send(theirs, bytes(2**24), time.monotonic() + 0.1)
    ours.close()
    with pytest.raises(EOFError):
        wire.receive(theirs, time.monotonic() + 5)
    with pytest.raises(EOFError):
        wire.send(theirs, bytes(2**24), time.monotonic() + 5)


def test_a_random_generator_goes_on_where_it_stood():
    rng = np.random.default_rng(7)
    rng.random(5), rng.integers(3, dtype="u4")
    twin = wire.new_generator(there_and_back(wire.generator_state(rng)))
    assert rng.random(10).tolist() == twin.random(10).tolist()
    with pytest.raises(NotPlain, match="MT19937"):
        wire.generator_state(np.random.Generator(np.random.MT19937(0)))


@pytest.mark.parametrize("state", [None, [], [1, 2, 0], [-1, 1, 0, 0], [2**128, 1, 0, 0], [1, 1, 2, 0], [1, 1, 0, 1.0]])
def test_a_generator_state_that_is_none_is_refused(state):
    with pytest.raises(WireError):
        wire.new_generator(state)


def test_printed_text_is_kept_up_to_a_bound():
    printed = wire.Printed()
    for _ in range(100):
        print("x" * 1_000_000, file=printed)
    assert printed.text == "x" * wire.PRINTED


def test_one_line_is_one_line_and_safe_for_a_terminal():
    assert wire.one_line("a\nb\r\n\x1b[31mred\x00") == "a b [31mred"
    assert len(wire.one_line("x" * 10**6)) == 300


def test_an_exception_that_cannot_be_shown_is_still_described():
    class Nasty(Exception):
        def __str__(self):
            raise SystemExit

    assert wire.describe(Nasty()) == "Nasty"


def test_children_of_generators_in_different_states_differ() -> None:
    draws = [
        wire.new_generator(wire.generator_state(np.random.default_rng(seed))).spawn(1)[0].random() for seed in (1, 2)
    ]
    assert draws[0] != draws[1]
