"""How far two values are apart, and in words where they first differ.

One rule for every check: entries may differ by ``tolerance`` times their own size plus the root mean square of what is
wanted. A tolerance is therefore relative, small entries beside large ones are judged by the scale of the array, and an
array that should be zero is judged on its own (absolutely).

What is random is judged by its distribution: a `Share` is how often something happened, a `Sample` is draws of one number.
Both bounds hold for any number of draws, without a normal approximation.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.exercise import Evidence, Judge, Observations

TOLERANCE = 1e-6
"""For float64 results: far above rounding (1e-12 for the worst scenario here), far below any wrong idea (above 1e-4)."""

FLOAT32_TOLERANCE = 2e-4
"""For answers computed in float32, whose rounding alone can reach 1e-5 of the scale."""


FALSE_REJECT = 1e-10
"""The probability that a right answer fails one comparison of a share or a sample: ten of them stay below 1e-9."""


@dataclass(frozen=True)
class Share:
    """How often something happened in independent trials, and the probability that it should have."""

    hits: int
    trials: int
    expected: float


@dataclass(frozen=True)
class Sample:
    """Independent draws (n,) of one number: only their distribution counts, not their order."""

    values: np.ndarray


@dataclass(frozen=True)
class Difference:
    """The outcome of one comparison. ``error`` is infinite where the values cannot be compared."""

    same: bool
    error: float
    tolerance: float
    message: str = ""
    remark: str = ""
    heat: np.ndarray | None = None


def describe(value: Any) -> str:
    """A value in a few words: an array by its shape, anything else by its type or its (short) text."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        kind = "" if value.dtype.kind in "biuf" else f"{value.dtype.name} "
        return f"{'a' if kind and kind[0] not in 'aeiou' else 'an'} {kind}array of shape {value.shape}"
    if isinstance(value, (bool, int, float, str)):
        return repr(value) if len(repr(value)) <= 40 else f"a {type(value).__name__}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _at(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _number(value: Any) -> str:
    return f"{value:.6g}" if np.isrealobj(value) else str(value)


def _is_numeric(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, (numbers.Real, np.bool_))


def _numeric_array(value: Any) -> np.ndarray | None:
    """The value as an array of numbers, or None where it is nothing of the kind."""
    if isinstance(value, (list, tuple)):
        try:
            value = np.array(value)
        except (ValueError, TypeError):
            return None
    array = np.asarray(value) if _is_numeric(value) else None
    return array if array is not None and array.dtype.kind in "biuf" else None  # an int too large for any dtype


def scale_of(wanted: np.ndarray) -> np.ndarray:
    """What an error in each entry is measured against: the entry's own size plus the array's root mean square."""
    finite = np.where(np.isfinite(wanted), wanted, 0.0)
    scale = np.abs(finite) + np.sqrt(np.mean(finite**2)) if wanted.size else np.abs(finite)
    return np.where(scale > 0, scale, 1.0)


def aligned(name: str, seen: Any, target: np.ndarray, loose: bool = False) -> tuple[np.ndarray | None, str, str]:
    """The value as an array of the target's shape, a message where it is not one, and a remark where it nearly is."""
    array = _numeric_array(seen)
    if array is None:
        what = f"an array of shape {target.shape}" if target.ndim else "a number"
        return None, f"{name} is {describe(seen)}, wanted {what}", ""
    if array.shape == target.shape:
        return array, "", ""
    squeezed = tuple(n for n in array.shape if n != 1) == tuple(n for n in target.shape if n != 1)
    column = array.ndim == 2 and target.ndim == 1 and array.shape[1] == 1  # (D, 1) meets no (N, D) as (D,) does
    if not squeezed or not ((loose and not column) or array.size == target.size == 1):
        return None, f"{name} has shape {array.shape}, wanted {target.shape}", ""
    remark = f"{name} has shape {array.shape}; the course's form is {target.shape}. Accepted." if target.ndim else ""
    return array.reshape(target.shape), "", remark


def difference(name: str, seen: Any, wanted: Any, tolerance: float = TOLERANCE, loose: bool = False) -> Difference:
    """Compare one observation with what was wanted.

    ``loose`` accepts a shape that differs only by axes of length one, e.g. (1, D) or (1, C, 1, 1) for (D,), with a remark.
    Containers and other plain values (str, bool, None) must be equal; numbers and arrays are compared by `scale_of`; a
    share is held against its expected probability and a sample against the wanted sample.
    """
    if isinstance(wanted, Share):
        return _share_difference(name, seen, wanted)
    if isinstance(wanted, Sample):
        return _sample_difference(name, seen, wanted)
    if not isinstance(wanted, np.ndarray) and not (isinstance(wanted, float | int) and not isinstance(wanted, bool)):
        return _plain_difference(name, seen, wanted)

    target = np.asarray(wanted, dtype=float)
    array, message, remark = aligned(name, seen, target, loose)
    if array is None:
        return Difference(False, np.inf, tolerance, message)

    if array.dtype in (np.float16, np.float32):
        tolerance = max(tolerance, FLOAT32_TOLERANCE)
        remark = remark or f"{name} came back as {array.dtype} from float64 inputs; judged by that precision."
    array = array.astype(float)
    if not target.size:
        return Difference(True, 0.0, tolerance, remark=remark)

    with np.errstate(all="ignore"):
        heat = np.abs(array - target) / scale_of(target)
    heat = np.where((array == target) | (np.isnan(array) & np.isnan(target)), 0.0, heat)
    heat = np.where(np.isnan(heat), np.inf, heat)
    error = float(heat.max())
    if error <= tolerance:
        return Difference(True, error, tolerance, remark=remark)
    index = np.unravel_index(int(np.argmax(heat > tolerance)), heat.shape)
    place = tuple(int(i) for i in index)
    share = "" if heat.size == 1 else f" ({int((heat > tolerance).sum())} of {heat.size} entries differ)"
    message = f"{_at(name, place)}: {_number(array[place])}, wanted {_number(target[place])}{share}"
    return Difference(False, error, tolerance, message, remark, heat)


def _plain_difference(name: str, seen: Any, wanted: Any) -> Difference:
    if isinstance(seen, np.ndarray) and seen.ndim == 0:
        seen = seen.item()
    same = type(seen) in (type(wanted), list, tuple) and seen == wanted
    message = "" if same else f"{name} is {describe(seen)}, wanted {describe(wanted)}"
    return Difference(same, 0.0 if same else np.inf, 0.0, message)


def _bits_off(hits: float, trials: int, probability: float) -> float:
    """trials * KL(hits / trials || probability): by Chernoff, so many hits or more (or so many or fewer) happen with a
    probability below exp(-this)."""
    off = 0.0
    for count, chance in ((hits, probability), (trials - hits, 1 - probability)):
        if count:
            off += count * math.log(count / (trials * chance)) if chance > 0 else math.inf
    return off


def _share_difference(name: str, seen: Any, wanted: Share) -> Difference:
    """The binomial test by Chernoff's bound, for both sides together at `FALSE_REJECT`."""
    if not isinstance(seen, Share) or not seen.trials:
        return Difference(False, np.inf, 0.0, f"{name} cannot be counted")
    if _bits_off(seen.hits, seen.trials, wanted.expected) <= math.log(2 / FALSE_REJECT):
        return Difference(True, 0.0, 0.0)
    found = f"{seen.hits / seen.trials:.4g} ({seen.hits} of {seen.trials})"
    return Difference(False, np.inf, 0.0, f"{name}: {found}, wanted about {wanted.expected:.4g}")


def _sample_difference(name: str, seen: Any, wanted: Sample) -> Difference:
    """The largest gap between two empirical distributions, against the sum of what Dvoretzky, Kiefer and Wolfowitz (with
    Massart's constant) allow to each at half of `FALSE_REJECT`. Right for steps in the distribution, too."""
    ours = np.sort(np.asarray(wanted.values, dtype=float).ravel())
    theirs = np.sort(np.asarray(seen.values, dtype=float).ravel()) if isinstance(seen, Sample) else ours[:0]
    if not theirs.size or not np.all(np.isfinite(theirs)):
        return Difference(False, np.inf, 0.0, f"{name}: not all of it is finite numbers")
    places = np.concatenate([ours, theirs])
    shares = [np.searchsorted(sample, places, side="right") / sample.size for sample in (theirs, ours)]
    worst = int(np.argmax(np.abs(shares[0] - shares[1])))
    radius = math.sqrt(math.log(4 / FALSE_REJECT) / 2) * (theirs.size**-0.5 + ours.size**-0.5)
    if abs(shares[0][worst] - shares[1][worst]) <= radius:
        return Difference(True, 0.0, 0.0)
    place, found, right = _number(places[worst]), shares[0][worst], shares[1][worst]
    return Difference(False, np.inf, 0.0, f"{name}: {found:.0%} are at most {place}, wanted about {right:.0%}")


ALIKE = 20.0
"""Two shares are taken for one where their likelihood ratio is below exp(20): one in about 1e9 pairs is missed."""


def _alike(seen: Any, shown: Any) -> bool:
    """Whether two shares can come from the same probability."""
    if not isinstance(seen, Share) or not isinstance(shown, Share):
        return False
    pooled = (seen.hits + shown.hits) / (seen.trials + shown.trials)
    return _bits_off(seen.hits, seen.trials, pooled) + _bits_off(shown.hits, shown.trials, pooled) <= ALIKE


def matches(seen: Observations, wanted: Observations, tolerance: float = TOLERANCE) -> bool:
    """Whether two observations of one scenario agree in every value (shapes taken loosely): how a mistake is recognised.
    Shares and samples agree where they can have come from one distribution."""
    return seen.keys() == wanted.keys() and all(
        _alike(seen[name], wanted[name])
        if isinstance(wanted[name], Share)
        else difference(name, seen[name], wanted[name], tolerance, loose=True).same
        for name in wanted
    )


def same_as_reference(tolerance: float = TOLERANCE, loose: bool = False) -> Judge:
    """A judge that wants every observation to equal the reference's; with ``loose``, but for extra axes of length one."""

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        found = [difference(name, seen[name], wanted[name], tolerance, loose) for name in wanted]
        wrong = [d for d in found if not d.same]
        worst = max(found, key=lambda d: d.error / d.tolerance if d.tolerance else d.error)
        remarks = tuple(dict.fromkeys(d.remark for d in found if d.remark))
        first = wrong[0] if wrong else worst
        return Evidence(
            passed=not wrong,
            message="\n".join(d.message for d in wrong[:2]),
            error=first.error if np.isfinite(first.error) else None,
            tolerance=first.tolerance or None,
            remarks=remarks,
        )

    return judge
