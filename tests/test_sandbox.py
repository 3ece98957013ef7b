"""What a submission may do in the sandbox, what it may not, and what becomes of one that tries."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autograder.exercise import StudentError
from autograder.sandbox import Cell, Limits, Sandbox, SandboxUnavailable, SandboxWarning, launch, sandbox_problem

needs_bubblewrap = pytest.mark.skipif(sandbox_problem() is not None, reason=str(sandbox_problem()))
OURS = 20 + os.getpid() / 2**30
"""A start limit that nobody else has: it is on the command line of every worker started here, to know it by."""


def limited(**limits):
    return Limits(**{"call_seconds": 1, "cell_seconds": 1, "start_seconds": OURS} | limits)


SHORT = limited()


@pytest.fixture(params=[pytest.param(True, marks=needs_bubblewrap, id="bubblewrap"), pytest.param(False, id="fallback")])
def box(request, monkeypatch):
    """Opens sandboxes from pieces of code, with bubblewrap and without, and sees that they leave nothing behind."""
    opened = []

    def open_box(*cells, limits=SHORT):
        cells = [cell if isinstance(cell, Cell) else Cell(f"cell {n}", cell) for n, cell in enumerate(cells, 1)]
        if request.param:
            sandbox = Sandbox(cells, limits)
        else:
            monkeypatch.setattr(launch, "sandbox_problem", lambda: "none here")
            with pytest.warns(SandboxWarning, match="WITHOUT isolation"):
                sandbox = Sandbox(cells, limits)
        opened.append(sandbox)
        return sandbox.__enter__()

    descriptors = len(os.listdir("/proc/self/fd"))
    yield open_box
    for sandbox in opened:
        assert sandbox.isolated == request.param
        sandbox.__exit__(None, None, None)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert_no_children()


@pytest.fixture
def isolated():
    """One sandbox with bubblewrap for the questions that a look from inside answers."""
    code = "def run(code):\n    space = {}\n    exec(code, space)\n    return space.get('answer')"
    with Sandbox([Cell("cell 1", code)], SHORT, require=True) as sandbox:
        yield lambda code: sandbox.call("run", [code]).value
    assert_no_children()


def assert_no_children():
    """Every process that was started is gone: none runs and none waits to be reaped."""
    deadline = time.monotonic() + 5
    while (left := workers()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []
    assert children() <= known_before


known_before: set[str] = set()
"""Children of this process that other tests have left running (a kernel's helper, say); they are not ours to judge."""


@pytest.fixture(autouse=True)
def _children_of_others():
    known_before.clear()
    known_before.update(children())


def children():
    """The processes, zombies included, whose parent is this one."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = entry.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(os.getpid()):
            found.add(entry.parent.name)
    return found


def workers():
    """Our workers and their forks, by their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(OURS).encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            pass
    return found


def error(sandbox, *call):
    with pytest.raises(StudentError) as caught:
        sandbox.call(*call)
    assert "\n" not in caught.value.message
    return caught.value.kind, caught.value.message


def errors(sandbox):
    return [outcome.error for outcome in sandbox.outcomes]


# --- what is visible from inside ----------------------------------------------------------------------------------------


@needs_bubblewrap
def test_there_is_no_network(isolated):
    reached = isolated("""
import socket
answer = []
for target in (("127.0.0.1", 80), ("8.8.8.8", 53)):
    try:
        socket.create_connection(target, 0.3)
        answer.append(target)
    except OSError as problem:
        pass
""")
    assert reached == []


@needs_bubblewrap
def test_the_course_the_home_directory_and_other_packages_are_not_there(isolated):
    root = Path(launch.__file__).parents[2]
    site = Path(np.__file__).parents[1]
    paths = [root / "autograder", root / "pyproject.toml", root / "solutions", Path.home() / ".ssh", "/etc/passwd", "/proc",
             "/sys", "/home", "/var", "/usr/bin", "/bin/sh", site / "pytest", site / "scipy", site / "torch"]  # fmt: skip
    assert isolated(f"import os; answer = [p for p in {[str(p) for p in paths]!r} if os.path.exists(p)]") == []
    assert isolated(f"import os; answer = sorted(os.listdir({str(site)!r}))") in (["numpy"], ["numpy", "numpy.libs"])
    modules = ["scipy", "sklearn", "torch", "pytest", "pip", "autograder.exercises", "autograder.exercise"]
    found = isolated(f"""
import importlib, os, sys
answer = []
for place in {[str(site), *sys.path]!r}:
    sys.path.append(place)
for name in {modules!r}:
    try:
        importlib.import_module(name)
        answer.append(name)
    except ImportError:
        pass
""")
    assert found == []


@needs_bubblewrap
def test_nothing_can_be_written_outside_a_small_scratch_directory(isolated):
    written = isolated("""
import os, sys
answer = []
for root, directories, files in os.walk("/"):
    try:
        with open(os.path.join(root, "mark"), "w") as file:
            file.write("x")
        answer.append(root)
    except OSError:
        pass
    directories[:] = directories[:10]
""")
    # below /tmp, which is private to the sandbox, the way to a mounted folder may have been made: empty folders of its own
    assert written[0] == "/tmp" and all(Path(folder).is_relative_to("/tmp") for folder in written)
    assert isolated("import os; answer = os.getcwd()") == "/tmp"
    size = isolated("""
answer = 0
try:
    for n in range(100):
        with open(f"file{n}", "wb") as file:
            answer += file.write(bytes(10**7))
except OSError:
    pass
""")
    if "--size " in launch._options():
        assert size <= Limits().scratch_bytes


@needs_bubblewrap
def test_other_processes_the_environment_and_new_processes_are_out_of_reach(isolated, monkeypatch):
    assert isolated("import os; answer = os.getpid()") < 10
    assert isolated(f"import os\ntry: os.kill({os.getpid()}, 0)\nexcept ProcessLookupError: answer = 'none'") == "none"
    wanted = {"HOME", "TMPDIR", "LANG", "PWD", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "LC_CTYPE"}
    assert set(isolated("import os; answer = list(os.environ)")) - {"LD_LIBRARY_PATH"} <= wanted
    assert isolated("import os; answer = os.getuid()") == 65534
    refused = isolated("""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
answer = [libc.unshare(0x10000000), libc.ptrace(0, 0, 0, 0), libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)]
for start in (os.fork, lambda: os.posix_spawn(__import__("sys").executable, ["x"], {})):
    try:
        answer.append(start())
    except OSError:
        answer.append(-1)
""")
    assert refused == [-1] * 5


@needs_bubblewrap
def test_threads_work(isolated):
    code = "import threading; answer = []; t = threading.Thread(target=answer.append, args=(1,)); t.start(); t.join()"
    assert isolated(code) == [1]


@needs_bubblewrap
def test_an_ordinary_start_is_quick():
    def start():
        started = time.perf_counter()
        with Sandbox([Cell("cell 1", "import numpy as np\ndef f(x): return x + 1")], SHORT):
            return time.perf_counter() - started

    assert min(start() for _ in range(3)) < 1.5  # 0.11 s on the machine that this was written on


@needs_bubblewrap
def test_a_call_costs_little():
    x = np.ones((10, 10))
    with Sandbox([Cell("cell 1", "def f(x): return x + 1")], SHORT) as sandbox:
        rounds = []
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(100):
                sandbox.call("f", [x])
            rounds.append((time.perf_counter() - started) / 100)
    assert min(rounds) < 3e-3  # 0.25 ms on the machine that this was written on


# --- with or without bubblewrap -----------------------------------------------------------------------------------------


def test_cells_share_a_namespace_and_one_bad_line_does_not_lose_the_rest(box):
    sandbox = box(
        "import numpy as np\nprint('hello')\nraise ValueError('too early')\ndef f(x): return x + 1\n1/0",
        "def g(x):\n    return f(x) * 2",
        "def h(:",
        "if __name__ == '__main__':\n    k = lambda x: 5",
        "from __future__ import annotations\ndef typed(x: Undefined): return 1",
    )
    assert errors(sandbox) == ["line 3: ValueError: too early (and 1 more)", "", "line 1: SyntaxError: invalid syntax", "", ""]
    assert sandbox.outcomes[0].printed == "hello\n"
    assert not any(outcome.skipped for outcome in sandbox.outcomes)
    assert sandbox.names == {"f", "g", "k", "typed"}
    assert sandbox.call("g", [1]).value == 4


def test_an_error_is_placed_in_the_students_own_code(box):
    sandbox = box("x = 1", "import numpy as np\ndef f(x):\n    return helper(x)\ndef helper(x):\n    return np.ones(3) @ x")
    assert error(sandbox, "f", [np.ones(4)])[1].endswith("(cell 2, line 5)")


LAYERS = "import numpy as np\ndef layer(x): return x + 1\ndef shared(): return 'file'\nimport matplotlib.pyplot as plt"
FILES = [
    Cell("classifiers/net.py", "from ..layers import *\nfrom cs231n.utils import helper\ndef net(x): return layer(helper(x))", "file"),
    Cell("utils.py", "from .layers import layer as l\nfrom cs231n import layers\nimport layers as again\n"
         "def helper(x): return l(x) * 10\ndef one_module(): return layers is again and layers.__name__", "file"),
    Cell("layers.py", LAYERS, "file"),
    Cell("old/layers.py", "1/0", "file"),
    Cell("broken.py", "def ok(): return 1\nraise ValueError('no')\ndef also(): return __name__", "file"),
]  # fmt: skip


def test_files_import_each_other_in_any_order_and_by_any_path(box):
    sandbox = box(*FILES, Cell("cell 1", "from cs231n.layers import *\nimport utils\ndef shared(): return 'cell', utils.helper(0)"))
    assert errors(sandbox) == ["", "", "", "not run: imports of layers mean layers.py", "line 2: ValueError: no", ""]
    assert [outcome.name for outcome in sandbox.outcomes] == [*[cell.name for cell in FILES], "cell 1"]
    assert sandbox.call("net", [1]).value == 21
    assert sandbox.call("one_module", []).value == "submission.files.layers"
    assert sandbox.call("shared", []).value == ("cell", 10)
    assert sandbox.call("also", []).value != "__main__"


def test_modules_that_are_not_there_can_be_imported_and_refuse_to_be_used(box):
    sandbox = box(
        """
import matplotlib, torch.nn as nn, scipy.special
import matplotlib.pyplot as plt
from torch.nn.functional import relu, softmax as s
from sklearn import *
from cs231n.fast_layers import conv_forward_fast
from .unsubmitted import thing
from . import missing_sibling
from past.builtins import xrange
from builtins import range
from six.moves import cPickle as pickle
from future import standard_library
from autograder import check, hint
import nnlab
standard_library.install_aliases()
check("f", points=3), hint("f"), display(1)
import subprocess, multiprocessing, decimal, unittest, numpy.testing
""",
        "plt.rcParams['a'] = 1",
        "plt.figure(figsize=(1, 2))",
        "def f(x): return isinstance(x, nn.Module), list(xrange(2)), pickle.loads(pickle.dumps(x)), subprocess._mswindows",
        "def g(x): return relu(x)",
        "thing + 1",
        "for x in missing_sibling: pass",
        "class Net(nn.Module): pass",
        "try:\n    import cupy as xp\nexcept ImportError:\n    import numpy as xp\ndef h(): return xp.__name__",
        "import numpy.nothing_like_that\nnumpy.nothing_like_that.f()",
        "np_float = numpy.float",
    )
    unavailable = "is not available while grading: NumPy and the standard library only"
    assert errors(sandbox) == [
        "",
        f"line 1: ImportError: matplotlib {unavailable}",
        f"line 1: ImportError: matplotlib {unavailable}",
        "",
        "",
        f"line 1: ImportError: unsubmitted {unavailable}",
        f"line 1: ImportError: missing_sibling {unavailable}",
        f"line 1: ImportError: torch {unavailable}",
        "",
        sandbox.outcomes[9].error,
        sandbox.outcomes[10].error,
    ]
    assert "numpy" in sandbox.outcomes[9].error and "AttributeError" in sandbox.outcomes[10].error
    assert sandbox.call("f", [1]).value == (False, [0, 1], 1, False)
    assert error(sandbox, "g", [1]) == ("raised", f"ImportError: torch {unavailable} (cell 5, line 1)")
    assert sandbox.call("h", []).value == "numpy"
    assert not sandbox.defines("relu") and not sandbox.defines("plt")
    assert error(sandbox, "conv_forward_fast", [])[0] == "missing"


def test_notebook_magic_is_harmless(box):
    sandbox = box(
        "get_ipython().run_line_magic('matplotlib', 'inline')\nget_ipython().run_line_magic('load_ext', 'autoreload')\n"
        "get_ipython().run_cell_magic('time', '', 'def f(x): return 1')\n"
        "get_ipython().run_cell_magic('writefile', 'x.py', 'def g(x): return 1')\n"
        "get_ipython().events.register('post_run_cell', print)\nget_ipython().system('rm -rf /')\n"
        "for line in get_ipython().getoutput('ls'): pass\nget_ipython().user_ns\ndisplay(f)"
    )
    assert errors(sandbox) == [""]
    assert sandbox.names == {"f"}


def test_a_hang_costs_its_own_call_and_no_other(box):
    sandbox = box("import time\ndef hang(x):\n    while True: pass\ndef nap(x): time.sleep(60)\ndef fine(x): return x")
    kept = sandbox.call("fine", [1], keep=(0,)).value
    started = time.monotonic()
    assert error(sandbox, "hang", [1]) == ("timeout", "did not finish within 1 s")
    assert time.monotonic() - started < 3
    assert sandbox.call("fine", [2]).value == 2
    assert error(sandbox, "fine", [kept])[0] == "crash"
    assert error(sandbox, "nap", [1])[0] == "timeout"
    assert sandbox.call("fine", [3]).value == 3


def test_a_function_that_keeps_hanging_is_not_called_for_ever(box):
    sandbox = box("def hang(x):\n    while True: pass\ndef fine(x): return x", limits=limited(call_seconds=0.2))
    for _ in range(2):
        assert error(sandbox, "hang", [1]) == ("timeout", "did not finish within 0.2 s")
    started = time.monotonic()
    for _ in range(20):
        assert error(sandbox, "hang", [1])[0] == "timeout"
    assert time.monotonic() - started < 0.1
    assert sandbox.call("fine", [1]).value == 1


DEATHS = {
    "os._exit(3)": "ended with exit status 3",
    "ctypes.string_at(0)": "ended by SIGSEGV",
    "os.kill(os.getpid(), signal.SIGKILL)": "ended by SIGKILL",
    "signal.alarm(1) or time.sleep(9)": "ended by SIGALRM",
    "os.close(channel())": "ended with exit status",
    "os.write(channel(), b'x' * 100)": "sent what is not an answer: a frame of",
    "os.write(channel(), struct.pack('>QI', 6, 2) + b'{}')": "sent what is not an answer",
    "os.write(channel(), struct.pack('>QI', 8, 4) + b'null')": "sent what is not an answer: a reply to another question",
    "fake(op='answer', value=1, arguments=[], printed='')": "a reply with parts missing",
    "fake(op='answer', value=1, arguments=[1], printed=2)": "a reply with parts missing",
    "fake(op='error', kind='passed', message='')": "an error of an unknown kind",
    "fake(op='callback', number=1, arguments=2, keywords=3)": "a callback without arguments",
}
DEADLY = """
import ctypes, json, os, signal, socket, stat, struct, time
def channel():
    return next(fd for fd in range(3, 60) if is_socket(fd))
def is_socket(fd):
    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError: return False
def fake(**message):
    text = json.dumps({"dict": {k: v for k, v in message.items()}}).replace("[]", "[]").encode()
    os.write(channel(), struct.pack(">QI", len(text) + 4, len(text)) + text)
def die(code): return eval(code)
def fine(x): return x
"""


def test_a_process_that_ends_or_talks_nonsense_costs_its_call(box):
    for chunk in (list(DEATHS)[:6], list(DEATHS)[6:]):
        limits = limited(call_seconds=2)
        sandbox = box(DEADLY.replace("def die", "\n".join(f"def die{n}(code): return die(code)" for n in range(6)) + "\ndef die"),
                      limits=limits)  # fmt: skip
        for number, code in enumerate(chunk):
            kind, message = error(sandbox, f"die{number}", [code])
            assert (kind, DEATHS[code] in message) == ("crash", True), (code, kind, message)
            assert sandbox.call("fine", [number]).value == number


def test_a_forged_answer_is_just_a_wrong_number(box):
    sandbox = box(DEADLY)
    assert sandbox.call("die", ["fake(op='answer', value={'complex': [1.0, 2.0]}, arguments=[1], printed='')"]).value == 1 + 2j


def test_cells_that_hang_or_end_the_process_are_left_out_and_named(box):
    sandbox = box(
        "def first(): return count\ncount = 1",
        "def lost(): return 1\nwhile True: pass",
        "import os\nos._exit(1)",
        "raise SystemExit\ncount += 1",
        "count += 1\ndef last(): return count",
        Cell("deadly.py", "import os\ndef gone(): return 1\nos.abort()", "file"),
    )
    assert [outcome.skipped for outcome in sandbox.outcomes] == [False, True, True, False, False, True]
    assert errors(sandbox)[1] == "did not finish within 1 s"
    assert errors(sandbox)[2] == "the process ended with exit status 1"
    assert errors(sandbox)[3] == "line 1: SystemExit"
    assert errors(sandbox)[5] == "the process ended by SIGABRT"
    assert sandbox.names == {"first", "last"}
    assert (sandbox.call("first", []).value, sandbox.call("last", []).value) == (3, 3)


def test_a_submission_has_so_much_time_and_so_many_restarts(box):
    sandbox = box("import time\ndef nap(x): time.sleep(x)", limits=limited(total_seconds=0.5))
    sandbox.call("nap", [0.1])
    for _ in range(2):
        assert error(sandbox, "nap", [60]) == ("timeout", "the submission used up its 0.5 s")
    sandbox = box("import os\ndef a(): os._exit(0)\ndef b(): os._exit(0)\ndef c(): return 1", limits=limited(restarts=2))
    assert error(sandbox, "a", [])[0] == error(sandbox, "a", [])[0] == error(sandbox, "b", [])[0] == "crash"
    assert error(sandbox, "c", []) == ("crash", "the submission's process had to be ended 3 times; no more calls")
    sandbox = box("while True: pass", "def f(): return 1", limits=limited(total_seconds=0.3))
    assert all(outcome.skipped and "used up" in outcome.error for outcome in sandbox.outcomes)
    assert error(sandbox, "f", [])[0] == "timeout"


def test_a_memory_hog_runs_out_of_memory_and_others_go_on(box):
    sandbox = box(
        "import numpy as np\ndef hog():\n    x = []\n    while True: x.append(np.ones(10**6))\n"
        "def huge(): return np.broadcast_to(1.0, (10**6, 10**6))\ndef large(): return np.zeros(2**24)\n"
        "def many(): return [0] * 10**6\ndef fine(): return 1",
        limits=limited(call_seconds=10, memory_bytes=2**29, frame_bytes=2**26),
    )
    assert error(sandbox, "hog", [])[1].startswith("MemoryError")
    assert error(sandbox, "huge", []) == ("not_plain", "returned an array of shape (1000000, 1000000) (more than 64 MiB)")
    assert error(sandbox, "large", [])[0] == "not_plain"
    assert error(sandbox, "many", [])[0] == "not_plain"
    assert sandbox.call("fine", []).value == 1


def test_printing_without_end_is_cut_short(box):
    sandbox = box("for _ in range(100): print('x' * 1_000_000)\ndef f():\n    print('y' * 100_000_000)\n    import os\n"
                  "    os.write(1, b'z' * 10**6), os.write(2, b'z' * 10**6)\n    return input")  # fmt: skip
    assert sandbox.outcomes[0].printed == "x" * 20_000
    assert error(sandbox, "f", []) == ("not_plain", "returned a builtin_function_or_method")
    sandbox = box("def f(): return input('?')\ndef g():\n    print('y' * 100_000_000)\n    return 1")
    assert error(sandbox, "f", [])[1].startswith("EOFError")
    assert sandbox.call("g", []).printed == "y" * 20_000


def test_a_patched_numpy_lies_to_the_student_alone(box):
    sandbox = box("""
import builtins, json, os, sys, time, warnings
import numpy as np
real = np.ones(3)
for name in dir(np):
    if callable(getattr(np, name)) and not isinstance(getattr(np, name), type):
        setattr(np, name, lambda *a, **k: 0)
np.allclose = lambda *a, **k: True
np.ndarray = np.dtype = np.generic = dict
json.loads = json.dumps = time.monotonic = None
builtins.print = builtins.open = None
warnings.simplefilter("error")
def f(x): return real + x
""")
    np.testing.assert_array_equal(sandbox.call("f", [np.ones(3)]).value, 2 * np.ones(3))
    assert sandbox.call("f", [1.0], keep=(0,)).value
    assert sandbox.outcomes[0].error == ""


def test_limits_cannot_be_raised_again(box):
    sandbox = box("import resource\ndef f(name): return resource.getrlimit(getattr(resource, name))")
    assert sandbox.call("f", ["RLIMIT_AS"]).value == (Limits().memory_bytes,) * 2
    assert sandbox.call("f", ["RLIMIT_CORE"]).value == (0, 0)


def test_callbacks_are_counted_and_a_caller_that_stops_leaves_nothing_half_done(box):
    sandbox = box("def often(f):\n    while True: f(1)\ndef once(f): return f(1)", limits=limited(callbacks=50))
    calls = []
    assert error(sandbox, "often", [calls.append]) == ("timeout", "called the functions it was given more than 50 times")
    assert len(calls) <= 51

    def stop(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sandbox.call("once", [stop])
    assert sandbox.call("once", [lambda x: x]).value == 1


def test_a_process_lost_in_a_call_inside_a_call_is_lost_for_both(box):
    sandbox = box("import os\ndef die(): os._exit(0)\ndef once(f): return f()\nfine = lambda: 1")
    assert error(sandbox, "once", [lambda: sandbox.call("die", [])])[0] == "crash"
    assert sandbox.call("fine", []).value == 1
    assert error(sandbox, "once", [lambda: sandbox.call("once", [nested])])[0] == "raised"
    assert sandbox.call("fine", []).value == 1


def nested():
    raise RuntimeError("deep down")


def test_a_lent_function_may_be_called_later_until_it_is_forgotten(box):
    sandbox = box("kept = []\ndef store(f): kept.append(f)\ndef use(): return kept[0](1)")
    sandbox.call("store", [lambda x: x + 4])
    assert sandbox.call("use", []).value == 5
    sandbox.forget()
    assert "not lent any more" in error(sandbox, "use", [])[1]


def test_a_returned_function_can_call_the_one_that_it_was_made_from(box):
    sandbox = box("def twice(f): return lambda t: f(t) + f(t)")
    made = sandbox.call("twice", [lambda t: t + 1], keep=(0,)).value
    assert sandbox.call(made, [3]).value == 8


def test_forgotten_objects_are_void(box):
    sandbox = box("def f(x): return x")
    kept = sandbox.call("f", [1], keep=(0,)).value
    sandbox.forget()
    assert error(sandbox, "f", [kept])[0] == "crash"
    kept = sandbox.call("f", [2], keep=(0,)).value
    assert sandbox.call("f", [kept]).value == 2


def test_a_cell_that_is_too_long_is_named_and_the_rest_goes_on(box):
    sandbox = box("x = '" + "y" * 3_000_000 + "'", "def f(): return 1", "(" * 5000 + ")" * 5000, "x = 1\0")
    assert sandbox.outcomes[0].skipped and "too long" in sandbox.outcomes[0].error
    assert sandbox.outcomes[2].error and sandbox.outcomes[3].error
    assert sandbox.call("f", []).value == 1


def test_a_closed_sandbox_stays_closed(box):
    sandbox = box("def f(): return 1")
    sandbox.close()
    sandbox.close()
    with pytest.raises(RuntimeError, match="closed"):
        sandbox.call("f", [])


def test_without_bubblewrap_children_of_the_worker_end_with_it(monkeypatch):
    monkeypatch.setattr(launch, "sandbox_problem", lambda: "none here")
    code = "import os, time\ndef fork():\n    if os.fork() == 0: time.sleep(60)\n    return os.getpid()"
    with pytest.warns(SandboxWarning), Sandbox([Cell("cell 1", code)], SHORT) as sandbox:
        assert sandbox.call("fork", []).value > 0
        assert len(workers()) == 2
    assert_no_children()


def test_isolation_can_be_required(monkeypatch):
    monkeypatch.setattr(launch, "sandbox_problem", lambda: "bubblewrap (bwrap) was not found")
    with pytest.raises(SandboxUnavailable, match="not found"):
        Sandbox([], require=True)


def test_what_keeps_bubblewrap_from_working_is_said_in_one_line(monkeypatch, tmp_path):
    try:
        monkeypatch.setenv("PATH", str(tmp_path))
        sandbox_problem.cache_clear()
        assert "apt-get install bubblewrap" in sandbox_problem()
        fake = tmp_path / "bwrap"
        fake.write_text("#!/bin/sh\necho 'bwrap: setting up uid map:' >&2\necho 'Permission denied' >&2\nexit 1\n")
        fake.chmod(0o755)
        sandbox_problem.cache_clear()
        problem = sandbox_problem()
        assert "setting up uid map: Permission denied" in problem and "user namespaces" in problem and "\n" not in problem
        monkeypatch.setattr(launch, "sandbox_problem", lambda: None)
        with pytest.raises(SandboxUnavailable, match="Permission denied"), Sandbox([]):
            pass
        monkeypatch.setattr(sys, "platform", "darwin")
        sandbox_problem.cache_clear()
        assert "Linux" in sandbox_problem()
    finally:
        sandbox_problem.cache_clear()
    assert_no_children()


@needs_bubblewrap
def test_the_sandbox_dies_with_the_grader():
    code = (
        "import os, signal; from autograder.sandbox import Cell, Limits, Sandbox\n"
        f"box = Sandbox([Cell('cell 1', 'def f(): return 1')], Limits(start_seconds={OURS})).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=Path(launch.__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert_no_children()


def test_the_worker_imports_the_standard_library_and_numpy_only():
    import ast

    for name in ("worker.py", "wire.py", "limits.py"):
        tree = ast.parse((Path(launch.__file__).parent / name).read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        tops = {module.partition(".")[0] for module in imported}
        assert tops <= sys.stdlib_module_names | {"numpy", "limits", "wire", "autograder"}
        assert name == "worker.py" or "autograder" not in tops
