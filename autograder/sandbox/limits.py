"""How much of the machine one submission may use.

The clock is kept outside, by the launcher; what the kernel can count (memory, processor time, files) is set by the worker
on itself before it reads a line of the student's, as hard limits, so that nothing in the process can raise it again.
This file is read on both sides of the wall: standard library only.
"""

from __future__ import annotations

import math
import platform
import struct
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds of the clock, then bytes and counts; those per process are enforced by the kernel."""

    call_seconds: float = 5.0
    cell_seconds: float = 10.0
    start_seconds: float = 20.0
    total_seconds: float = 120.0
    """All cells, repetitions of cells after a restart, and calls of one submission together."""
    restarts: int = 10
    memory_bytes: int = 2 * 2**30
    cpu_seconds: float = 150.0
    file_bytes: int = 32 * 2**20
    scratch_bytes: int = 64 * 2**20
    processes: int = 64
    """Counts where the system-call filter does not: without bubblewrap, and not for root, whom Linux exempts."""
    open_files: int = 64
    frame_bytes: int = 64 * 2**20
    callbacks: int = 100_000
    """How often one call may call back the functions that it was given."""


def apply(limits: Limits) -> None:
    """Set hard limits on this process and its children. Raises `OSError` or `ValueError` on Linux when it can't."""
    import resource

    wanted = {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_CPU": math.ceil(limits.cpu_seconds),
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }
    for name, most in wanted.items():
        kind = getattr(resource, name)
        ceiling = resource.getrlimit(kind)[1]
        most = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            if sys.platform == "linux":  # macOS knows RLIMIT_AS but refuses to set it
                raise


_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # x86_64, aarch64; a thread is also made by clone, so clone is looked at more closely
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "socket": (41, 198),  # some families, vsock for one, know no network namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "shmget": (29, 194),  # memory that RLIMIT_AS does not count
    "memfd_create": (319, 279),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
_MACHINES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}
"""Column of the table, the kernel's name for the machine, and the number of clone."""


def system_call_filter() -> bytes | None:
    """A seccomp program that refuses new processes (not threads) and the corners of the kernel nobody here needs.

    It is what bounds a fork bomb when the grader runs as root. None on a machine whose call numbers are not in the table.
    """
    if platform.machine() not in _MACHINES:
        return None
    column, machine, clone = _MACHINES[platform.machine()]
    load, equal, at_least, any_bit, done = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS
    numbers = [number for row in _REFUSED.values() if (number := row[column]) is not None]
    program: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),  # the machine whose numbers the call uses
        (equal, 1, 0, machine),
        (done, 0, 0, refuse),
        (load, 0, 0, 0),  # the number of the call
        (at_least, 0, 1, 0x40000000),  # x32: the same calls by other numbers
        (done, 0, 0, refuse),
        (equal, 0, 1, 435),  # clone3 hides its flags in memory: glibc then uses clone
        (done, 0, 0, unknown),
    ]
    for number in numbers:
        program += [(equal, 0, 1, number), (done, 0, 0, refuse)]
    program += [
        (equal, 1, 0, clone),
        (done, 0, 0, allow),
        (load, 0, 0, 16),  # clone's flags
        (any_bit, 0, 1, 0x00010000),  # CLONE_THREAD
        (done, 0, 0, allow),
        (done, 0, 0, refuse),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in program)
