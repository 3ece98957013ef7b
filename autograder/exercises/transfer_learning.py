"""Assignment 09, transfer learning: a trained network's parameters, which of them to keep, and how to train the rest.

Parameters are a dict, "INDEX.NAME" to array, and the head is the layer with the highest index, compared as numbers. What a
function returns crosses to the engine as a copy, so that a view of the input cannot be told from a copy here; that nothing
which was handed over is changed, and that what is frozen stays equal to the last bit, can.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from autograder.checks import equals, leaves_inputs, shaped
from autograder.compare import Sample, describe
from autograder.exercise import (
    Check,
    Evidence,
    Exercise,
    Functions,
    Misconception,
    Observations,
    Observe,
    StudentError,
)
from autograder.exercises.drawing import columns

Array = np.ndarray
Params = dict[str, Array]


def _index(name: str) -> int:
    return int(name.split(".")[0])


def _copies(params: Mapping[str, Array]) -> Params:
    return {name: np.array(value) for name, value in params.items()}


def _idea(name: str, id: str, message: str, wrong: Callable[..., Any]) -> Misconception:
    return Misconception(id, message, {name: wrong})


def _as_dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StudentError("form", f"{what} is {describe(value)}, wanted a dict of name to array")
    return value


def _same_bits(value: Any, wanted: Array) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and np.array_equal(value, wanted)


def _network(rng: np.random.Generator, inputs: int = 5, classes: int = 3, convolutions: bool = True) -> Params:
    """Layers 0, 1 and 3 (a convolution, batch norm, another convolution), 7 (affine), 8 (batch norm) and the head, 9."""
    shapes: dict[str, tuple[int, ...]] = {}
    if convolutions:
        shapes |= {"0.W": (3, 3, 1, 2), "0.b": (2,), "1.gamma": (2,), "1.beta": (2,), "3.W": (1, 1, 2, 4), "3.b": (4,)}
    shapes |= {"7.W": (4, inputs), "7.b": (inputs,), "8.gamma": (inputs,), "8.beta": (inputs,)}
    shapes |= {"9.W": (inputs, classes), "9.b": (classes,)}
    return {name: rng.standard_normal(shape) + 0.5 for name, shape in shapes.items()}


def _deep_network(rng: np.random.Generator) -> Params:
    """Layers 0, 1, 2, 9, 10, 11 and 12, with parameters of all kinds; the head is 12."""
    sizes = {"0": (2, 3), "1": (3,), "2": (3, 4), "9": (4, 6), "10": (6,), "11": (6, 5), "12": (5, 3)}
    params: Params = {}
    for layer, shape in sizes.items():
        first, second = ("gamma", "beta") if len(shape) == 1 else ("W", "b")
        params[f"{layer}.{first}"] = rng.standard_normal(shape) + 0.5
        params[f"{layer}.{second}"] = rng.standard_normal(shape[-1]) + 0.5
    return params


def _leaves(claim: str, points: float, call: Callable[[Functions, list[dict[str, Any]]], Any], *drawn: str) -> Check:
    """Whether the dicts that are handed over still hold what they held. (A scenario sees dicts as they were left.)"""

    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        dicts: list[dict[str, Any]] = [_network(rng) for _ in drawn]
        if "rates" in drawn:
            dicts[drawn.index("rates")] = {name: float(rng.uniform(0.1, 1)) for name in _network(rng)}
        before = [{name: np.array(value) for name, value in one.items()} for one in dicts]
        call(play, dicts)
        return {
            f"{what} as before": list(now) == list(then) and all(np.array_equal(now[name], then[name]) for name in then)
            for what, now, then in zip(drawn, dicts, before, strict=True)
        }

    return equals(claim, points, observe, supporting=True)


# --- reinitialize_head ----------------------------------------------------------------------------------------------


def reinitialize_head(params: Mapping[str, Array], num_classes: int, rng: np.random.Generator) -> Params:
    """Copies of all parameters; the head's W (D, num_classes) normal with standard deviation 1/sqrt(D), its b zeros."""
    head = max(_index(name) for name in params)
    return _with_head(params, head, lambda d, k: rng.normal(0.0, 1 / math.sqrt(d), (d, k)), num_classes)


def _with_head(
    params: Mapping[str, Array],
    head: int | str,
    draw: Callable[[int, int], Array],
    num_classes: int,
    bias: Callable[[Array, int], Array] = lambda old, k: np.zeros(k),
) -> Params:
    new = _copies(params)
    new[f"{head}.W"] = draw(len(params[f"{head}.W"]), num_classes)
    new[f"{head}.b"] = bias(params[f"{head}.b"], num_classes)
    return new


def _generator(rng: np.random.Generator) -> np.random.Generator:
    """A student's own: what is drawn from it does not matter to the scenario."""
    return np.random.default_rng(int(rng.integers(2**32)))


def _new_head(play: Functions, params: Params, num_classes: int, rng: np.random.Generator, head: int = 9) -> Array:
    new = _as_dict(play.reinitialize_head(params, num_classes, rng), "the result")
    return shaped(f"{head}.W", new.get(f"{head}.W"), np.empty((len(params[f"{head}.W"]), num_classes)))


def _head_form(play: Functions, rng: np.random.Generator) -> Observations:
    """More classes than before, fewer, and as many."""
    found: Observations = {}
    for classes in (7, 2, 3):
        new = _as_dict(play.reinitialize_head(_network(rng), classes, _generator(rng)), "the result")
        weights = new.get("9.W")
        found[f"shape of 9.W for {classes} classes"] = (
            str(np.shape(weights)) if isinstance(weights, np.ndarray) else None
        )
        found[f"9.b for {classes} classes"] = new.get("9.b")
    return found


def _head_distribution(play: Functions, rng: np.random.Generator) -> Observations:
    """28,400 weights, over their standard deviation, against as many of the reference's: by the bound of `Sample` a right
    answer is rejected with a probability below 1e-10. More classes than inputs tell Glorot's scale from He's."""
    scaled, distinct = [], True
    for inputs, classes in ((60, 240), (70, 200)):
        params = _network(rng, inputs, 4, convolutions=False)
        weights = _new_head(play, params, classes, _generator(rng))
        scaled.append((weights * math.sqrt(inputs)).ravel())
        distinct = distinct and len(np.unique(weights)) == weights.size
    return {
        "every entry of the head's W is drawn by itself": distinct,
        "the head's W times sqrt(D)": Sample(np.concatenate(scaled)),
    }


def _head_seeds(play: Functions, rng: np.random.Generator) -> Observations:
    seed, other = (int(n) for n in rng.choice(2**31, 2, replace=False))
    params = _network(rng)

    generator = np.random.default_rng(seed)
    sources = (np.random.default_rng(seed), generator, generator, np.random.default_rng(other))
    first, again, after, another = (_new_head(play, _copies(params), 4, source) for source in sources)
    return {
        "the same head from a generator of the same seed": bool(np.array_equal(first, again)),
        "the same head from a generator of another seed": bool(np.array_equal(first, another)),
        "the same head at the next call with one generator": bool(np.array_equal(again, after)),
        "entries of the old W that are still there": int(np.isin(first, params["9.W"]).sum()),
    }


def _head_others(play: Functions, rng: np.random.Generator) -> Observations:
    params = _network(rng)
    new = _as_dict(play.reinitialize_head(_copies(params), 4, _generator(rng)), "the result")
    found: Observations = {"the number of names": len(new)}
    found |= {f"{name} as before": _same_bits(new.get(name), value) for name, value in params.items() if name[0] != "9"}
    return found | {f"name number {k + 1}": name for k, name in enumerate(new) if k < len(params)}


def _head_by_number(play: Functions, rng: np.random.Generator) -> Observations:
    """The head is 12, behind 9 in the order of text, and in the second dict other layers come after it."""
    found: Observations = {}
    for case in ("in order", "in another order"):
        params = _deep_network(rng)
        if case == "in another order":
            params = {name: params[name] for name in sorted(params, key=lambda name: _index(name) == 2)}
        new = _as_dict(play.reinitialize_head(_copies(params), 4, _generator(rng)), "the result")
        for name in ("12.W", "12.b", "9.W", "9.b", "11.W", "11.b", "2.W", "2.b"):
            found[f"{name} is new, names {case}"] = not _same_bits(new.get(name), params[name])
    return found


def _head_idea(id: str, message: str, draw: Callable[..., Array], **other: Any) -> Misconception:
    """A head that is drawn wrongly: ``draw(rng, D, K)``."""

    def wrong(params: Params, num_classes: int, rng: np.random.Generator) -> Params:
        head = max(map(_index, params))
        return _with_head(params, head, lambda d, k: draw(rng, d, k), num_classes, **other)

    return _idea("reinitialize_head", id, message, wrong)


def _head_at(choose: Callable[[Params], str]) -> Callable[..., Params]:
    def wrong(params: Params, num_classes: int, rng: np.random.Generator) -> Params:
        return _with_head(params, choose(params), lambda d, k: rng.standard_normal((d, k)) / math.sqrt(d), num_classes)

    return wrong


def _head_in_place(params: Params, num_classes: int, rng: np.random.Generator) -> Params:
    params.update(reinitialize_head(params, num_classes, rng))
    return params


def _all_anew(params: Params, num_classes: int, rng: np.random.Generator) -> Params:
    new = reinitialize_head(params, num_classes, rng)
    for name, value in params.items():
        if name.endswith(".W") and new[name].shape == value.shape:
            new[name] = rng.standard_normal(value.shape) / math.sqrt(value[..., 0].size)
    return new


def _old_columns(params: Params, num_classes: int, rng: np.random.Generator) -> Params:
    new = reinitialize_head(params, num_classes, rng)
    head = max(map(_index, params))
    kept = min(num_classes, params[f"{head}.W"].shape[1])
    new[f"{head}.W"][:, :kept] = params[f"{head}.W"][:, :kept]
    return new


def _normal(scale: Callable[[int, int], float]) -> Callable[..., Array]:
    return lambda rng, d, k: rng.standard_normal((d, k)) * scale(d, k)


REINITIALIZE_HEAD = Exercise(
    name="reinitialize_head",
    asks="A new head for new classes, everything below as it was learned.",
    reference=reinitialize_head,
    returns=("params",),
    checks=(
        equals("gives the head a W of shape (D, num_classes) and a b of zeros", 1, _head_form),
        equals("draws W from a normal distribution with standard deviation 1/sqrt(D)", 2, _head_distribution),
        equals("draws it anew at each call, from the generator that it is given", 1, _head_seeds),
        equals("keeps all names in their order, and every other array to the last bit", 2, _head_others),
        equals("finds the head by its number, not as text and not by its place in the dict", 1, _head_by_number),
        _leaves(
            "leaves the arrays that it is given as they were",
            1,
            lambda play, dicts: play.reinitialize_head(dicts[0], 4, np.random.default_rng(0)),
            "params",
        ),
    ),
    misconceptions=(
        _idea(
            "reinitialize_head",
            "head-by-text",
            'You compare the layers\' numbers as text, and there "9" comes after "12". Turn them into integers first.',
            _head_at(lambda params: max(name.split(".")[0] for name in params)),
        ),
        _idea(
            "reinitialize_head",
            "head-by-place",
            "You take the layer that comes last in the dict. A dict may have any order: the head has the highest number.",
            _head_at(lambda params: list(params)[-1].split(".")[0]),
        ),
        _head_idea(
            "he-scale",
            "The standard deviation is sqrt(2/D), He's, which makes up for the ReLU behind a layer. There is none "
            "behind the head: 1/sqrt(D).",
            _normal(lambda d, k: math.sqrt(2 / d)),
        ),
        _head_idea(
            "unscaled",
            "The standard deviation is 1, whatever D is: a score would be a sum of D such terms. Divide by sqrt(D).",
            _normal(lambda d, k: 1.0),
        ),
        _head_idea(
            "scaled-by-the-classes",
            "The standard deviation is 1/sqrt(num_classes). What counts is how many terms a score sums up: D.",
            _normal(lambda d, k: 1 / math.sqrt(k)),
        ),
        _head_idea(
            "glorot-scale",
            "The standard deviation is sqrt(2/(D + num_classes)), Glorot's. This course takes 1/sqrt(D).",
            _normal(lambda d, k: math.sqrt(2 / (d + k))),
        ),
        _head_idea(
            "variance-for-deviation",
            "The standard deviation is 1/D. That is what the VARIANCE should be; the deviation is its root.",
            _normal(lambda d, k: 1 / d),
        ),
        _head_idea(
            "a-hundredth",
            "The standard deviation is 0.01, whatever D is. It should be 1/sqrt(D).",
            _normal(lambda d, k: 0.01),
        ),
        _head_idea(
            "uniform",
            "The weights are uniform between -1/sqrt(D) and 1/sqrt(D), as PyTorch's linear layers begin. Asked for is a "
            "normal distribution with that standard deviation.",
            lambda rng, d, k: rng.uniform(-1, 1, (d, k)) / math.sqrt(d),
        ),
        _head_idea(
            "zeros",
            "The head's W is all zeros. The first step then sends no gradient to the layers below: draw it.",
            lambda rng, d, k: np.zeros((d, k)),
        ),
        _head_idea(
            "one-column-for-all",
            "All columns of the head's W are the same: the classes start alike. Draw every entry by itself.",
            lambda rng, d, k: np.repeat(rng.standard_normal((d, 1)) / math.sqrt(d), k, axis=1),
        ),
        _head_idea(
            "seed-of-its-own",
            "Your head is the same whatever generator comes in. Draw from rng.",
            lambda rng, d, k: np.random.default_rng(0).standard_normal((d, k)) / math.sqrt(d),
        ),
        _head_idea(
            "generator-of-its-own",
            "One seed gives another head each time: you draw from a generator of your own. Draw from rng.",
            lambda rng, d, k: np.random.default_rng().standard_normal((d, k)) / math.sqrt(d),
        ),
        _head_idea(
            "copy-of-the-generator",
            "Called twice with one generator, you give the same head twice: you draw from a copy of rng. Draw from rng.",
            lambda rng, d, k: copy.deepcopy(rng).standard_normal((d, k)) / math.sqrt(d),
        ),
        _head_idea(
            "bias-kept",
            "The head's b still has the old values. They belong to the old classes: zeros.",
            _normal(lambda d, k: 1 / math.sqrt(d)),
            bias=lambda old, k: np.resize(old, k),
        ),
        _head_idea(
            "bias-of-ones",
            "The head's b is all ones. Start it at zeros.",
            _normal(lambda d, k: 1 / math.sqrt(d)),
            bias=lambda old, k: np.ones(k),
        ),
        _idea(
            "reinitialize_head",
            "old-columns-kept",
            "The first columns of the head's W are the old ones. They tell the old classes apart: draw all of it.",
            _old_columns,
        ),
        _idea(
            "reinitialize_head",
            "all-anew",
            "You draw every W anew. Then nothing that was learned is left: only the head starts again.",
            _all_anew,
        ),
        _idea(
            "reinitialize_head",
            "head-alone",
            "You return the head alone. The result holds all names, the others with their old values.",
            lambda params, num_classes, rng: {
                name: value
                for name, value in reinitialize_head(params, num_classes, rng).items()
                if _index(name) == max(map(_index, params))
            },
        ),
        _idea(
            "reinitialize_head",
            "in-place",
            "You put the new head into the dict that you were given. The caller still needs the old one: return a new dict.",
            _head_in_place,
        ),
    ),
    hints=(
        'What is max("9", "12")? And max(9, 12)?',
        "The number before the dot tells the layer. D is the number of rows of the head's old W.",
        "Copy every array into a new dict; then replace the two entries of the head.",
    ),
)

# --- split_frozen ---------------------------------------------------------------------------------------------------


def split_frozen(params: Mapping[str, Array], trainable_layers: Collection[int]) -> tuple[Params, Params]:
    """Two dicts, (frozen, trainable): whole layers, by the number before the dot."""
    frozen = {name: np.array(value) for name, value in params.items() if _index(name) not in trainable_layers}
    trainable = {name: np.array(value) for name, value in params.items() if _index(name) in trainable_layers}
    return frozen, trainable


def _split(*choices: Sequence[int]) -> Observe:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        found: Observations = {}
        for layers in choices:
            params = _deep_network(rng)
            frozen, trainable = play.split_frozen(_copies(params), layers)
            frozen, trainable = _as_dict(frozen, "frozen"), _as_dict(trainable, "trainable")
            for name, value in params.items():
                places = [what for what, part in (("frozen", frozen), ("trainable", trainable)) if name in part]
                found[f"{name} with trainable_layers={layers}"] = " and ".join(places) or "missing"
                given = [part[name] for part in (frozen, trainable) if name in part]
                found[f"value of {name} with trainable_layers={layers} as before"] = all(
                    _same_bits(each, value) for each in given
                )
            found[f"names that were not there, trainable_layers={layers}"] = len({*frozen, *trainable} - set(params))
        return found

    return observe


def _split_by(wanted: Callable[[str, Collection[int], list[int]], bool]) -> Callable[..., tuple[Params, Params]]:
    """Splits by what ``wanted(name, trainable_layers, layers in the dict)`` says."""

    def split(params: Params, trainable_layers: Collection[int]) -> tuple[Params, Params]:
        layers = sorted({_index(name) for name in params})
        parts: tuple[Params, Params] = ({}, {})
        for name, value in params.items():
            parts[bool(wanted(name, trainable_layers, layers))][name] = value
        return parts

    return split


def _split_popping(params: Params, trainable_layers: Collection[int]) -> tuple[Params, Params]:
    trainable = {name: params.pop(name) for name in list(params) if _index(name) in trainable_layers}
    return params, trainable


SPLIT_FROZEN = Exercise(
    name="split_frozen",
    asks="Which parameters stay as they are, and which are trained.",
    reference=split_frozen,
    returns=("frozen", "trainable"),
    checks=(
        equals("puts every name into one of the two dicts, with its value", 2, _split((12,), (0, 2))),
        equals("takes a layer as a whole, batch norm's gamma and beta too", 1, _split([0, 1], [10, 11, 12])),
        equals("tells layer 1 from layers 10, 11 and 12", 1, _split((1,), (10, 2), [11, 0])),
        equals("can freeze everything, and nothing", 1, _split((), [0, 1, 2, 9, 10, 11, 12])),
        _leaves(
            "leaves the arrays that it is given as they were",
            1,
            lambda play, dicts: play.split_frozen(dicts[0], (1, 9)),
            "params",
        ),
    ),
    misconceptions=(
        _idea(
            "split_frozen",
            "swapped",
            "The two dicts are in the wrong order: first what stays frozen, then what is trained.",
            lambda params, trainable_layers: split_frozen(params, trainable_layers)[::-1],
        ),
        _idea(
            "split_frozen",
            "by-beginning",
            "With layer 1 you also take layers 10, 11 and 12, whose names begin alike. Compare the number before the dot.",
            _split_by(lambda name, wanted, _: any(name.startswith(str(k)) for k in wanted)),
        ),
        _idea(
            "split_frozen",
            "first-digit",
            "You look at the first digit of a name only. The number of a layer may have two.",
            _split_by(lambda name, wanted, _: int(name[0]) in wanted),
        ),
        _idea(
            "split_frozen",
            "anywhere-in-the-name",
            "You look for the number anywhere in the name: the 0 of 10 is no layer 0. Compare the number before the dot.",
            _split_by(lambda name, wanted, _: any(str(k) in name for k in wanted)),
        ),
        _idea(
            "split_frozen",
            "text-against-number",
            'All is frozen: the text "9" is never equal to the number 9. Turn the text before the dot into an integer.',
            _split_by(lambda name, wanted, _: name.split(".")[0] in list[object](wanted)),
        ),
        _idea(
            "split_frozen",
            "weights-only",
            "Batch norm's gamma and beta stay frozen in layers that are to be trained. They are parameters like W and b.",
            _split_by(lambda name, wanted, _: _index(name) in wanted and name.split(".")[1] in ("W", "b")),
        ),
        _idea(
            "split_frozen",
            "gamma-and-beta-always-trained",
            "Batch norm's gamma and beta are trained in layers that should be frozen. A layer is frozen as a whole.",
            _split_by(lambda name, wanted, _: _index(name) in wanted or name.split(".")[1] in ("gamma", "beta")),
        ),
        _idea(
            "split_frozen",
            "biases-always-trained",
            "Biases are trained in layers that should be frozen. A layer is frozen as a whole.",
            _split_by(lambda name, wanted, _: _index(name) in wanted or name.split(".")[1] == "b"),
        ),
        _idea(
            "split_frozen",
            "position-for-number",
            "You count the layers that have parameters. trainable_layers holds the numbers in the names.",
            _split_by(lambda name, wanted, layers: layers.index(_index(name)) in wanted),
        ),
        _idea(
            "split_frozen",
            "everything-above",
            "You train everything above the lowest layer named, too. Only the named layers are trained.",
            _split_by(lambda name, wanted, _: len(wanted) > 0 and _index(name) >= min(wanted)),
        ),
        _idea(
            "split_frozen",
            "frozen-left-whole",
            "Your first dict still holds the parameters that are trained. Each name belongs into one of the two.",
            lambda params, trainable_layers: (_copies(params), split_frozen(params, trainable_layers)[1]),
        ),
        _idea(
            "split_frozen",
            "popped-from-the-input",
            "You take names out of the dict that you were given. Leave it whole, and fill two new ones.",
            _split_popping,
        ),
    ),
    hints=(
        "Does 10.gamma belong to layer 1?",
        'name.split(".")[0] is the number, still as text.',
        "Go through the dict once; put each array into one of two new dicts.",
    ),
)

# --- extract_features -----------------------------------------------------------------------------------------------


def extract_features(forward_to: Callable[[Array], Array], x: Array, batch_size: int) -> Array:
    """forward_to of batch after batch, each result flattened to (n, D), one below the other: (N, D)."""
    parts = []
    for start in range(0, len(x), batch_size):
        part = np.asarray(forward_to(x[start : start + batch_size]))
        parts.append(part.reshape(part.shape[0], -1))
    return np.concatenate(parts, axis=0)


class _Recorder:
    """A layer stack whose features tell images and places apart, and which remembers the batches that it was given."""

    def __init__(self, rng: np.random.Generator, flat: bool) -> None:
        self.weights, self.flat = rng.uniform(0.5, 1.5, (3, 2)), flat
        self.batches: list[Array] = []

    def __call__(self, x: Array) -> Array:
        x = np.array(x, dtype=float)
        self.batches.append(x)
        if x.ndim != 4 or x.shape[1] != 2:
            raise ValueError(f"this network takes images (n, 2, 3, 5), not {x.shape}")
        out = np.tanh(np.einsum("nchw,fc->nfhw", x, self.weights))[:, :, 1:, ::2]  # (n, 3, 2, 3)
        return out.mean(axis=(2, 3)) if self.flat else out


def _features(cases: Sequence[tuple[int, int]], flat: bool) -> Observe:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        found: Observations = {}
        for n, batch_size in cases:
            forward_to = _Recorder(rng, flat)
            x = rng.standard_normal((n, 2, 3, 5))
            found[f"features of {n} images in batches of {batch_size}"] = play.extract_features(
                forward_to, x, batch_size
            )
        return found

    return observe


def _batches(play: Functions, rng: np.random.Generator) -> Observations:
    found: Observations = {}
    for n, batch_size in ((10, 4), (12, 3), (3, 8), (4, 1)):
        forward_to = _Recorder(rng, flat=True)
        x = rng.standard_normal((n, 2, 3, 5))
        play.extract_features(forward_to, x, batch_size)
        sizes = [len(batch) for batch in forward_to.batches]
        case = f"{n} images in batches of {batch_size}"
        found[f"images in the largest batch, {case}"] = max(sizes, default=0)
        found[f"calls of forward_to, {case}"] = len(sizes)
        seen = np.concatenate(forward_to.batches) if sizes else np.zeros(0)
        found[f"every image once, in order, {case}"] = bool(np.array_equal(seen, x))
    return found


def _largest_allowed(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
    """Batches of nearly equal size are as good as full ones with a rest: no larger and no more than asked for."""
    for name, most in wanted.items():
        value = seen[name]
        if isinstance(most, bool):
            if value is not most:
                return Evidence(False, f"{name}: not so. Every image goes through forward_to once, in its place.")
        elif value > most or (name.startswith("calls") and value < most):
            return Evidence(False, f"{name}: {value}, wanted {most}")
    return Evidence(True)


def _joined(collect: Callable[..., list[Array]]) -> Callable[..., Array]:
    """Extraction with the parts that ``collect(forward_to, x, batch_size)`` gives."""
    return lambda forward_to, x, batch_size: np.concatenate(
        [
            np.asarray(part).reshape(len(part), math.prod(np.shape(part)[1:]))
            for part in collect(forward_to, x, batch_size)
        ]
    )


def _with_an_empty_batch(forward_to: Callable[[Array], Array], x: Array, batch_size: int) -> list[Array]:
    return [forward_to(x[k * batch_size : (k + 1) * batch_size]) for k in range(len(x) // batch_size + 1)]


def _pooled(forward_to: Callable[[Array], Array], x: Array, batch_size: int) -> list[Array]:
    parts = [np.asarray(forward_to(x[k : k + batch_size])) for k in range(0, len(x), batch_size)]
    return [part.mean(axis=(2, 3)) if part.ndim == 4 else part for part in parts]


def _last_batch_filled_up(forward_to: Callable[[Array], Array], x: Array, batch_size: int) -> list[Array]:
    starts = range(0, len(x), batch_size)
    return [forward_to(x[np.arange(start, start + batch_size) % len(x)]) for start in starts]


def _last_batch_doubled(forward_to: Callable[[Array], Array], x: Array, batch_size: int) -> list[Array]:
    starts = [min(start, max(0, len(x) - batch_size)) for start in range(0, len(x), batch_size)]
    return [forward_to(x[start : start + batch_size]) for start in starts]


EXTRACT_FEATURES = Exercise(
    name="extract_features",
    asks="The features of all images, batch by batch, one row an image.",
    reference=extract_features,
    returns=("features",),
    checks=(
        equals(
            "gives each image's features in one row, in the order of the images", 2, _features(((8, 4), (6, 2)), True)
        ),
        equals("loses no image where the last batch is smaller", 1, _features(((7, 3), (2, 5), (5, 4)), True)),
        equals("flattens channels, rows and columns in their order", 1, _features(((8, 4), (7, 3)), False)),
        Check(
            "calls forward_to once for every batch of at most batch_size images, on each image once",
            1,
            _batches,
            _largest_allowed,
        ),
        leaves_inputs(1, _features(((7, 3),), True)),
    ),
    misconceptions=(
        _idea(
            "extract_features",
            "last-batch-lost",
            "The images of the last, smaller batch are missing. In training a rest may be left out; here each one counts.",
            _joined(lambda f, x, b: [f(x[k * b : (k + 1) * b]) for k in range(max(1, len(x) // b))]),
        ),
        _idea(
            "extract_features",
            "all-at-once",
            "You send all images through at once. Batches are there because the memory is not: keep to batch_size.",
            _joined(lambda f, x, b: [f(x)]),
        ),
        _idea(
            "extract_features",
            "one-by-one",
            "You send the images through one by one, and each call costs time. Take batch_size of them.",
            _joined(lambda f, x, b: [f(x[k : k + 1]) for k in range(len(x))]),
        ),
        _idea(
            "extract_features",
            "empty-batch",
            "Where the images divide evenly into batches, you make one more call with no image in it.",
            _joined(_with_an_empty_batch),
        ),
        _idea(
            "extract_features",
            "not-flattened",
            "Your features keep their channels, rows and columns. A linear classifier wants one row an image: (N, D).",
            lambda f, x, b: np.concatenate([f(x[k : k + b]) for k in range(0, len(x), b)]),
        ),
        _idea(
            "extract_features",
            "all-in-one-row",
            "You flatten the images' axis as well. The first axis stays: one row an image.",
            lambda f, x, b: np.concatenate([np.ravel(f(x[k : k + b])) for k in range(0, len(x), b)]),
        ),
        _idea(
            "extract_features",
            "averaged-over-pixels",
            "You average each channel over its pixels. Keep every number: only the form changes.",
            _joined(_pooled),
        ),
        _idea(
            "extract_features",
            "channels-last",
            "Your features run through the channels first. Flatten channels, rows, columns as they come.",
            _joined(lambda f, x, b: [np.moveaxis(np.asarray(f(x[k : k + b])), 1, -1) for k in range(0, len(x), b)]),
        ),
        _idea(
            "extract_features",
            "last-batch-filled-up",
            "You fill the last batch up with images from the start: there are more rows than images.",
            _joined(_last_batch_filled_up),
        ),
        _idea(
            "extract_features",
            "last-batch-overlaps",
            "Your last batch reaches back over images that you had already: they are there twice.",
            _joined(_last_batch_doubled),
        ),
        _idea(
            "extract_features",
            "first-batch-only",
            "Only the first batch is there.",
            _joined(lambda f, x, b: [f(x[:b])]),
        ),
        _idea(
            "extract_features",
            "order-lost",
            "The features are not in the order of the images, so that the labels no longer fit.",
            _joined(lambda f, x, b: [f(x[k : k + b]) for k in range(0, len(x), b)][::-1]),
        ),
    ),
    hints=(
        "Ten images in batches of four: how many calls, and how many images in each?",
        "range(0, N, batch_size) gives the starts. A slice that reaches beyond the end simply stops there.",
        "Collect the results, each reshaped to (n, -1), and concatenate them.",
    ),
)

# --- linear_probe ---------------------------------------------------------------------------------------------------

Slopes = Callable[[Array, Array, float, Array, Array], tuple[Array, Array]]
"""(features, one-hot labels, l2, W, b) -> the gradient of some objective by W and b."""


def _softmax(scores: Array) -> Array:
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _slopes(x: Array, onehot: Array, l2: float, W: Array, b: Array) -> tuple[Array, Array]:
    """Of the stated objective: mean cross-entropy + l2/2 sum(W**2)."""
    excess = (_softmax(x @ W + b) - onehot) / len(x)
    return x.T @ excess + l2 * W, excess.sum(axis=0)


def _minimum(slopes: Slopes, x: Array, y: Array, l2: float, classes: int) -> tuple[Array, Array]:
    """Where a convex objective's gradient vanishes: Newton's method, halving steps until the gradient shrinks. Directions
    without curvature (the same number added to every bias) are left alone."""
    onehot = np.eye(classes)[y]
    dim = x.shape[1]

    def gradient(point: Array) -> Array:
        W, b = point[: dim * classes].reshape(dim, classes), point[dim * classes :]
        return np.concatenate([part.ravel() for part in slopes(x, onehot, l2, W, b)])

    point = np.zeros((dim + 1) * classes)
    grad = gradient(point)
    inverse = None  # of the curvature; taken anew where it no longer shrinks the gradient tenfold
    for _ in range(100):
        if np.linalg.norm(grad) < 1e-6:
            break
        if inverse is None:
            h = np.finfo(float).eps ** (1 / 3)
            differences = [gradient(point + h * axis) - gradient(point - h * axis) for axis in np.eye(point.size)]
            inverse = np.linalg.pinv(np.array(differences) / (2 * h), 1e-9)
        share = 1.0
        while (
            not np.linalg.norm(after := gradient(point - share * inverse @ grad)) < np.linalg.norm(grad)
            and share > 1e-4
        ):
            share /= 2
        point = point - share * inverse @ grad
        inverse = inverse if np.linalg.norm(after) < 0.1 * np.linalg.norm(grad) else None
        grad = after
    return point[: dim * classes].reshape(dim, classes), point[dim * classes :]


def linear_probe(features: Array, y: Array, l2: float, num_classes: int | None = None) -> tuple[Array, Array]:
    """W (D, K) and b (K,) at the minimum of mean softmax cross-entropy + l2/2 sum(W**2)."""
    classes = int(np.max(y)) + 1 if num_classes is None else num_classes
    return _minimum(_slopes, np.asarray(features, dtype=float), np.asarray(y), l2, classes)


def _with_penalty(of_W: Callable[[float, int, int], float], of_b: float = 0.0) -> Slopes:
    """Another strength of the penalty: ``of_W(l2, N, K)`` times W, and ``of_b`` l2 times b."""

    def slopes(x: Array, onehot: Array, l2: float, W: Array, b: Array) -> tuple[Array, Array]:
        dW, db = _slopes(x, onehot, 0.0, W, b)
        return dW + of_W(l2, *onehot.shape) * W, db + of_b * l2 * b

    return slopes


def _standardised(slopes: Slopes) -> Slopes:
    return lambda x, onehot, l2, W, b: slopes((x - x.mean(axis=0)) / x.std(axis=0), onehot, l2, W, b)


def _squares(x: Array, onehot: Array, l2: float, W: Array, b: Array) -> tuple[Array, Array]:
    excess = (x @ W + b - onehot) / len(x)
    return x.T @ excess + l2 * W, excess.sum(axis=0)


def _sigmoids(x: Array, onehot: Array, l2: float, W: Array, b: Array) -> tuple[Array, Array]:
    excess = (1 / (1 + np.exp(-np.clip(x @ W + b, -50, 50))) - onehot) / len(x)
    return x.T @ excess + l2 * W, excess.sum(axis=0)


def _one_class_fixed(x: Array, onehot: Array, l2: float, W: Array, b: Array) -> tuple[Array, Array]:
    """The last class's scores are 0 by decree: its weights are pulled there, and count for nothing."""
    free = np.arange(len(b)) < len(b) - 1
    dW, db = _slopes(x, onehot, l2, W * free, b * free)
    return np.where(free, dW, W), np.where(free, db, b)


OTHER_OBJECTIVES: dict[str, tuple[Slopes, str]] = {
    "bias-penalised": (
        _with_penalty(lambda l2, n, k: l2, of_b=1.0),
        "You penalise the bias as well. It only says how frequent a class is: leave it out of the penalty.",
    ),
    "penalty-not-halved": (
        _with_penalty(lambda l2, n, k: 2 * l2),
        "Your penalty is l2 sum(W**2). Asked for is half of that; its gradient is l2 W.",
    ),
    "sum-for-mean": (
        _with_penalty(lambda l2, n, k: l2 / n),
        "You sum the cross-entropy over the examples, so that the penalty counts N times too little. Take the mean.",
    ),
    "mean-over-classes-too": (
        _with_penalty(lambda l2, n, k: l2 * k),
        "You divide the cross-entropy by N times K. It is one number an example: divide by N.",
    ),
    "penalty-left-out": (
        _with_penalty(lambda l2, n, k: 0.0),
        "That is the minimum without any penalty. Add l2/2 sum(W**2) to the loss.",
    ),
    "least-squares": (
        _squares,
        "That is the least-squares fit to the one-hot labels. Asked for is softmax with cross-entropy.",
    ),
    "a-sigmoid-for-each-class": (
        _sigmoids,
        "You train one yes-or-no classifier for each class (sigmoid). Softmax lets the classes compete.",
    ),
    "one-class-fixed": (
        _one_class_fixed,
        "Your last class has scores of 0 throughout. With the penalty that is another minimum: W has K free columns.",
    ),
    "for-standardised-features": (
        _standardised(_slopes),
        "Your W belongs to standardised features. The ones that come in are used as they are: W and b must fit these.",
    ),
}

ARRIVED = -3
"""The gradient that is left, as a power of ten of what it is at W = 0, b = 0, is at most this (times two)."""


def _left(slopes: Slopes, problem: tuple[Array, Array, float], W: Array, b: Array) -> list[int]:
    """How much of the gradients by W and by b is left, as powers of ten; no less than `ARRIVED`. Coarse numbers, so that
    two descents to one wrong minimum give the same."""
    powers = []
    for grad, start in zip(slopes(*problem, W, b), slopes(*problem, np.zeros(W.shape), np.zeros(b.shape)), strict=True):
        share = float(np.abs(grad).max() / np.abs(start).max())
        rounded = round(math.log10(share)) if 0 < share < math.inf else 0
        powers.append(
            99 if not math.isfinite(share) else ARRIVED if share <= 2 * 10.0**ARRIVED else max(ARRIVED + 1, rounded)
        )
    return powers


def _probe_data(
    rng: np.random.Generator, n: int, d: int, k: int, std: tuple[float, float], offset: float
) -> tuple[Array, Array]:
    """Features (n, d) and labels that follow them, but for three in ten, so that no objective here has its minimum at
    infinity; the first class is the most frequent, and none is missing."""
    z = columns(rng, n, d, (1.0, 1.0), 0.0)
    x = z * rng.permutation(np.linspace(*std, d)) + rng.choice([-1.0, 1.0], d) * rng.uniform(0.5, 1, d) * offset
    scores = z @ rng.standard_normal((d, k)) + np.linspace(1.5, -0.5, k)
    y = scores.argmax(axis=1)
    stray = rng.permutation(n)[: 3 * n // 10]
    y[stray] = np.where(rng.random(len(stray)) < 0.5, 0, rng.integers(0, k, len(stray)))
    y[rng.permutation(n)[: 2 * k]] = np.repeat(np.arange(k), 2)
    return x, y


def _seen_of_probe(case: str, x: Array, y: Array, l2: float, W: Array, b: Array) -> Observations:
    """What is left of the gradient, which other objective's minimum this is, and whether the loss is below that at zeros.
    An answer of nan or inf goes through without a warning."""
    problem = (x, np.eye(len(b))[y], l2)
    with np.errstate(all="ignore"):
        by_W, by_b = _left(_slopes, problem, W, b)
        found: Observations = {f"gradient by W, {case}": by_W, f"gradient by b, {case}": by_b}
        for id, (slopes, _) in OTHER_OBJECTIVES.items():
            found[f"minimum of another objective, {id}, {case}"] = max(_left(slopes, problem, W, b)) == ARRIVED
        found[f"below the start, {case}"] = _objective(x, y, l2, W, b) < math.log(len(b))
    return found


def _probes(
    cases: Sequence[tuple[int, int, int]], l2: tuple[float, float], std: tuple[float, float], offset: float
) -> Observe:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        found: Observations = {}
        for n, d, k in cases:
            x, y = _probe_data(rng, n, d, k, std, offset)
            strength = float(rng.uniform(*l2))
            W, b = play.linear_probe(x.copy(), y.copy(), strength)
            W, b = shaped("W", W, np.empty((d, k))), shaped("b", b, np.empty(k))
            found |= _seen_of_probe(f"N={n}, D={d}, K={k}", x, y, strength, W, b)
        return found

    return observe


def _objective(x: Array, y: Array, l2: float, W: Array, b: Array) -> float:
    probabilities = _softmax(x @ W + b)[np.arange(len(y)), y]
    return float(-np.mean(np.log(np.maximum(probabilities, 1e-300))) + l2 / 2 * np.sum(W**2))


def _vanishes(*by: str) -> Callable[[Observations, Observations, np.random.Generator], Evidence]:
    """Judges the gradients named: what the other objectives say is for recognising a mistake."""

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        for name in wanted:
            if name.startswith(tuple(f"gradient by {one}" for one in by)) and seen[name] > ARRIVED:
                size = "not finite" if seen[name] == 99 else f"about 1e{seen[name]} of that at W = 0, b = 0"
                return Evidence(False, f"{name}: {size}, wanted at most 1e{ARRIVED}")
        return Evidence(True)

    return judge


def _class_without_examples(play: Functions, rng: np.random.Generator) -> Observations:
    """Labels 0..2, five classes asked for. There is no minimum (the missing classes' biases fall for ever), only a
    direction: what is asked is that their probability has become small."""
    x, y = _probe_data(rng, 50, 4, 3, (0.7, 1.5), 0.5)
    W, b = play.linear_probe(x.copy(), y, 0.1, 5)
    arrays = (
        isinstance(W, np.ndarray) and isinstance(b, np.ndarray) and W.dtype.kind in "biuf" and b.dtype.kind in "biuf"
    )
    with np.errstate(all="ignore"):
        fits = arrays and W.shape == (4, 5) and b.shape == (5,)
        share = float(_softmax(x @ W + b)[:, 3:].sum(axis=1).mean()) if fits else math.nan
    return {
        "shape of W with num_classes=5": str(W.shape) if isinstance(W, np.ndarray) else None,
        "shape of b with num_classes=5": str(b.shape) if isinstance(b, np.ndarray) else None,
        "classes without examples have become improbable": bool(share < 0.1),
    }


def _few_steps(features: Array, y: Array, l2: float, num_classes: int | None = None) -> tuple[Array, Array]:
    classes = int(y.max()) + 1 if num_classes is None else num_classes
    onehot, W, b = np.eye(classes)[y], np.zeros((features.shape[1], classes)), np.zeros(classes)
    for _ in range(20):
        dW, db = _slopes(features, onehot, l2, W, b)
        W, b = W - 0.03 * dW, b - 0.03 * db
    return W, b


def _rate_too_large(features: Array, y: Array, l2: float, num_classes: int | None = None) -> tuple[Array, Array]:
    """Arrives where the features' spread is near 1; beyond that every step is too long."""
    classes = int(y.max()) + 1 if num_classes is None else num_classes
    onehot, W, b = np.eye(classes)[y], np.zeros((features.shape[1], classes)), np.zeros(classes)
    if features.std(axis=0).max() < 2:
        return linear_probe(features, y, l2, num_classes)
    for _ in range(200):
        dW, db = _slopes(features, onehot, l2, W, b)
        W, b = W - 2.0 * dW, b - 2.0 * db
    return W, b


def _at_minimum_of(slopes: Slopes) -> Callable[..., tuple[Array, Array]]:
    def wrong(features: Array, y: Array, l2: float, num_classes: int | None = None) -> tuple[Array, Array]:
        return _minimum(slopes, features, y, l2, int(y.max()) + 1 if num_classes is None else num_classes)

    return wrong


LINEAR_PROBE = Exercise(
    name="linear_probe",
    asks="The best linear classifier on features that stay as they are.",
    reference=linear_probe,
    returns=("W", "b"),
    checks=(
        Check(
            "is where the mean cross-entropy + l2/2 sum(W**2) has no slope in W",
            2,
            _probes(((60, 4, 3), (45, 3, 5)), (0.05, 0.15), (0.7, 1.5), 1.0),
            _vanishes("W"),
        ),
        Check(
            "has no slope in b either: the bias is not penalised",
            1,
            _probes(((80, 3, 4),), (1.0, 2.0), (0.7, 1.5), 0.5),
            _vanishes("b"),
        ),
        Check(
            "arrives there where features have different scales and means, too",
            1,
            _probes(((70, 4, 3),), (0.05, 0.15), (0.3, 4.0), 3.0),
            _vanishes("W", "b"),
        ),
        equals("has a column for each of num_classes classes where their number is given", 1, _class_without_examples),
        leaves_inputs(1, _probes(((45, 3, 4),), (0.05, 0.15), (0.7, 1.5), 1.0)),
    ),
    misconceptions=(
        *(
            _idea("linear_probe", id, message, _at_minimum_of(slopes))
            for id, (slopes, message) in OTHER_OBJECTIVES.items()
        ),
        _idea(
            "linear_probe",
            "not-there-yet",
            "Your loss is lower than at W = 0, but this is no minimum: the gradient has not vanished. If you descend, take "
            "more steps or larger ones until it does; if it has, look again at what you minimise.",
            _few_steps,
        ),
        _idea(
            "linear_probe",
            "thrown-off-by-large-features",
            "You arrive where the features' spread is near 1, and not where it is larger: with your rate the steps are too "
            "long there. A safe one is 1 over half the largest eigenvalue of X'X/N (a column of ones in X for b), plus l2.",
            _rate_too_large,
        ),
        _idea(
            "linear_probe",
            "num-classes-ignored",
            "You count the classes in y although num_classes is given. A class without examples has its column, too.",
            lambda features, y, l2, num_classes=None: linear_probe(features, y, l2),
        ),
    ),
    hints=(
        "What must be true of the gradient at a minimum? You can test your answer with that alone.",
        "The gradient by the scores is (softmax - one-hot) / N; by W it is features' times that, plus l2 W; by b its sum.",
        "Descend with all examples at once, at a safe rate, until the gradient is 1/1000 of the first.",
    ),
)

# --- layerwise_learning_rates ---------------------------------------------------------------------------------------


def layerwise_learning_rates(names: Iterable[str], lr: float, decay: float) -> dict[str, float]:
    """lr for the last layer, decay times as much for each layer with parameters below it."""
    order = sorted({_index(name) for name in names})
    return {name: lr * decay ** (len(order) - 1 - order.index(_index(name))) for name in names}


_SMALL_NET = ("0.W", "0.b", "1.gamma", "1.beta", "2.W", "2.b")
_GAPS = ("0.W", "0.b", "1.gamma", "1.beta", "4.W", "4.b", "7.W", "7.b")
_DEEP = ("0.W", "0.b", "2.W", "2.b", "3.gamma", "3.beta", "9.W", "9.b", "10.gamma", "10.beta", "12.W", "12.b")
_MIXED = ("7.b", "4.W", "10.W", "0.b", "4.b", "10.b", "0.W", "7.W")


def _rates(*cases: tuple[str, Sequence[str]], decay: tuple[float, float] = (0.2, 0.7)) -> Observe:
    def observe(play: Functions, rng: np.random.Generator) -> Observations:
        found: Observations = {}
        for case, names in cases:
            lr, fall = float(rng.uniform(0.05, 0.5)), float(rng.uniform(*decay))
            rates = _as_dict(play.layerwise_learning_rates(list(names), lr, fall), "the result")
            for name in names:
                found[f"rate of {name} ({case}, lr={lr:.3g}, decay={fall:.3g})"] = rates.get(name)
            found[f"names ({case})"] = len(rates)
        return found

    return observe


def _even_rates(play: Functions, rng: np.random.Generator) -> Observations:
    """No decay, and one layer alone."""
    found: Observations = {}
    for case, names, decay in (("no decay", _GAPS, 1.0), ("one layer", ("3.W", "3.b"), 0.3)):
        rates = _as_dict(play.layerwise_learning_rates(list(names), float(rng.uniform(0.05, 0.5)), decay), "the result")
        found |= {f"rate of {name} ({case})": rates.get(name) for name in names}
    return found


def _rates_by(
    power: Callable[[str, list[str]], float], scale: Callable[[float, float, float], float] | None = None
) -> Callable[..., Any]:
    """A rate for each name from ``power(name, names)``."""
    scale = scale or (lambda lr, decay, power: lr * decay**power)
    return lambda names, lr, decay: {name: scale(lr, decay, power(name, list(names))) for name in names}


def _below(name: str, names: list[str]) -> int:
    """How many layers with parameters lie above this one."""
    return len({_index(other) for other in names if _index(other) > _index(name)})


def _appearance(name: str, names: list[str]) -> int:
    order = list(dict.fromkeys(_index(other) for other in names))
    return len(order) - 1 - order.index(_index(name))


LAYERWISE_LEARNING_RATES = Exercise(
    name="layerwise_learning_rates",
    asks="Smaller rates for lower layers.",
    reference=layerwise_learning_rates,
    returns=("rates",),
    checks=(
        equals(
            "gives the last layer lr, and each layer below decay times the one above it",
            2,
            _rates(("three layers", _SMALL_NET)),
        ),
        equals("counts layers that have parameters, not those between them", 1, _rates(("gaps in the numbers", _GAPS))),
        equals(
            "goes by the numbers of the layers, not by their text or the order of the names",
            1,
            _rates(("layer 12 last", _DEEP), ("names in another order", _MIXED)),
        ),
        equals("leaves all rates alike with a decay of 1, and gives a single layer lr", 1, _even_rates),
    ),
    misconceptions=(
        _idea(
            "layerwise_learning_rates",
            "upside-down",
            "Your lowest layer has the largest rate. The last layer is new and must learn most; the lowest features are the "
            "most general.",
            _rates_by(lambda name, names: len({_index(other) for other in names if _index(other) < _index(name)})),
        ),
        _idea(
            "layerwise_learning_rates",
            "by-distance-of-numbers",
            "You take the difference of the layers' numbers. Layers without parameters (ReLU, pooling) do not count.",
            _rates_by(lambda name, names: max(map(_index, names)) - _index(name)),
        ),
        _idea(
            "layerwise_learning_rates",
            "by-name-not-by-layer",
            "W and b of one layer have different rates: you count names. Count layers.",
            _rates_by(
                lambda name, names: (
                    len(names) - 1 - sorted(names, key=lambda n: (_index(n), names.index(n))).index(name)
                )
            ),
        ),
        _idea(
            "layerwise_learning_rates",
            "by-text",
            'You order the layers as text: there "9" comes after "12". Turn the numbers into integers first.',
            _rates_by(
                lambda name, names: len({o.split(".")[0] for o in names if o.split(".")[0] > name.split(".")[0]})
            ),
        ),
        _idea(
            "layerwise_learning_rates",
            "by-order-of-the-names",
            "You take the layers in the order in which their names come. Go by their numbers.",
            _rates_by(_appearance),
        ),
        _idea(
            "layerwise_learning_rates",
            "last-layer-decayed",
            "Your last layer has decay times lr already. It gets lr itself.",
            _rates_by(lambda name, names: _below(name, names) + 1),
        ),
        _idea(
            "layerwise_learning_rates",
            "one-step-only",
            "All layers below the last one have the same rate. Each gets decay times that of the one above it.",
            _rates_by(lambda name, names: min(_below(name, names), 1)),
        ),
        _idea(
            "layerwise_learning_rates",
            "falling-in-a-line",
            "Your rates fall by the same amount. They fall by the same factor.",
            _rates_by(_below, lambda lr, decay, power: lr * (1 - (1 - decay) * power)),
        ),
        _idea(
            "layerwise_learning_rates",
            "divided",
            "You divide by decay: with a decay below 1 the rates grow downwards.",
            _rates_by(_below, lambda lr, decay, power: lr / decay**power),
        ),
        _idea(
            "layerwise_learning_rates",
            "exponential",
            "You take exp(-decay) as the factor. The factor from layer to layer is decay itself.",
            _rates_by(_below, lambda lr, decay, power: lr * math.exp(-decay * power)),
        ),
        _idea(
            "layerwise_learning_rates",
            "batch-norm-passed-over",
            "A batch norm layer has the rate of the layer below it: you do not count it. It has parameters, so it counts.",
            _rates_by(
                lambda name, names: len({_index(o) for o in names if o.endswith(".W") and _index(o) > _index(name)})
            ),
        ),
        _idea(
            "layerwise_learning_rates",
            "by-layer-not-by-name",
            "Your result has one entry a layer. It should have one for every name.",
            lambda names, lr, decay: {str(_index(n)): lr * decay ** _below(n, list(names)) for n in names},
        ),
    ),
    hints=(
        "Layers 0, 4 and 10 have parameters. How many of them lie above layer 4?",
        "The set of the numbers before the dots, as integers, sorted: the place in it is what counts.",
        "lr times decay to the power of how many layers in that list lie above; the same for all names of a layer.",
    ),
)

# --- fine_tune_step -------------------------------------------------------------------------------------------------


def fine_tune_step(
    params: Mapping[str, Array], grads: Mapping[str, Array], rates: Mapping[str, float], trainable: Collection[str]
) -> Params:
    """w - rates[name] grads[name] for the names in trainable, equal copies of the others."""
    return {name: w - rates[name] * grads[name] if name in trainable else w.copy() for name, w in params.items()}


_TRAINED = ["3.b", "8.gamma", "8.beta", "9.W", "9.b"]
"""Not whole layers, so that a name is told from its layer."""


def _own_rates(rng: np.random.Generator, params: Params) -> dict[str, float]:
    """No two alike, in no order."""
    return dict(zip(params, rng.permutation(np.linspace(0.1, 0.9, len(params))).tolist(), strict=True))


def _one_step(play: Functions, rng: np.random.Generator) -> Observations:
    found: Observations = {}
    for case, trainable in (("five names trained", _TRAINED), ("all names trained", tuple(_network(rng)))):
        params, grads = _network(rng), _network(rng)
        new = _as_dict(play.fine_tune_step(params, grads, _own_rates(rng, params), trainable), "the result")
        found |= {f"{name} ({case})": new.get(name) for name in trainable}
    return found


def _steps(play: Functions, rng: np.random.Generator) -> Observations:
    """Four steps, each from what the last one gave, with new gradients, large for what is frozen."""
    start = _network(rng)
    params: dict[str, Any] = _copies(start)
    rates = _own_rates(rng, start)
    for _ in range(4):
        grads = {name: 10 * value if name not in _TRAINED else value for name, value in _network(rng).items()}
        params = _as_dict(play.fine_tune_step(params, grads, rates, list(_TRAINED)), "the result")
    found: Observations = {}
    for name in start:
        if name not in _TRAINED:
            found[f"frozen {name} after 4 steps"] = params.get(name)
            found[f"frozen {name} equal to the last bit"] = _same_bits(params.get(name), start[name])
    return found | {"the number of names": len(params)}


def _no_step(play: Functions, rng: np.random.Generator) -> Observations:
    params = _network(rng)
    grads, rates = _network(rng), _own_rates(rng, params)
    new = _as_dict(play.fine_tune_step(_copies(params), grads, rates, []), "the result")
    return {
        f"{name} as before where nothing is trained": _same_bits(new.get(name), value) for name, value in params.items()
    }


def _step_by(change: Callable[..., Any]) -> Callable[..., Params]:
    """A step with ``change(name, w, g, rate, trainable, rates)`` for each parameter."""
    return lambda params, grads, rates, trainable: {
        name: change(name, w, grads[name], rates[name], trainable, rates) for name, w in params.items()
    }


def _step_in_place(params: Params, grads: Params, rates: dict[str, float], trainable: Collection[str]) -> Params:
    for name in trainable:
        params[name] -= rates[name] * grads[name]
    return params


def _grads_scaled_in_place(
    params: Params, grads: Params, rates: dict[str, float], trainable: Collection[str]
) -> Params:
    new = fine_tune_step(params, grads, rates, trainable)
    for name in trainable:
        grads[name] *= rates[name]
    return new


FINE_TUNE_STEP = Exercise(
    name="fine_tune_step",
    asks="One step of gradient descent for what is trained; the rest stays.",
    reference=fine_tune_step,
    returns=("params",),
    checks=(
        equals("moves each trained parameter against its gradient, at its own rate", 2, _one_step),
        equals("leaves frozen parameters equal to the last bit over several steps, gamma and beta too", 2, _steps),
        equals("changes nothing where nothing is trained", 1, _no_step),
        _leaves(
            "leaves the arrays that it is given as they were",
            1,
            lambda play, dicts: play.fine_tune_step(*dicts, list(_TRAINED)),
            "params",
            "grads",
            "rates",
        ),
    ),
    misconceptions=(
        _idea(
            "fine_tune_step",
            "frozen-trained-too",
            "You move every parameter. Only those named in trainable may move.",
            _step_by(lambda name, w, g, rate, trainable, rates: w - rate * g),
        ),
        _idea(
            "fine_tune_step",
            "frozen-and-trained-swapped",
            "You move what should stay and keep what should move.",
            _step_by(lambda name, w, g, rate, trainable, rates: w if name in trainable else w - rate * g),
        ),
        _idea(
            "fine_tune_step",
            "frozen-a-little",
            "Frozen parameters move by a hundredth of a step. Frozen means not at all.",
            _step_by(lambda name, w, g, rate, trainable, rates: w - rate * g * (1 if name in trainable else 0.01)),
        ),
        _idea(
            "fine_tune_step",
            "frozen-dropped",
            "Frozen parameters are missing in your result. It should hold every name.",
            lambda params, grads, rates, trainable: {
                name: params[name] - rates[name] * grads[name] for name in trainable
            },
        ),
        _idea(
            "fine_tune_step",
            "frozen-set-to-zero",
            "Frozen parameters come back as zeros. It is their CHANGE that is zero.",
            _step_by(lambda name, w, g, rate, trainable, rates: (w - rate * g) * (name in trainable)),
        ),
        _idea(
            "fine_tune_step",
            "uphill",
            "You add the gradient: the loss grows. Subtract it.",
            _step_by(lambda name, w, g, rate, trainable, rates: w + rate * g if name in trainable else w),
        ),
        _idea(
            "fine_tune_step",
            "one-rate-for-all",
            "You take one rate for all parameters. rates has one for each name.",
            _step_by(
                lambda name, w, g, rate, trainable, rates: w - max(rates.values()) * g if name in trainable else w
            ),
        ),
        _idea(
            "fine_tune_step",
            "rate-left-out",
            "The rate is missing: you subtract the whole gradient.",
            _step_by(lambda name, w, g, rate, trainable, rates: w - g if name in trainable else w),
        ),
        _idea(
            "fine_tune_step",
            "sign-only",
            "You use the sign of the gradient only. Multiply the rate with the gradient itself.",
            _step_by(lambda name, w, g, rate, trainable, rates: w - rate * np.sign(g) if name in trainable else w),
        ),
        _idea(
            "fine_tune_step",
            "whole-layers",
            "You train every parameter of a layer as soon as one of its names is in trainable. Go by the name.",
            _step_by(
                lambda name, w, g, rate, trainable, rates: (
                    w - rate * g if _index(name) in {_index(other) for other in trainable} else w
                )
            ),
        ),
        _idea(
            "fine_tune_step",
            "gamma-and-beta-always-trained",
            "Batch norm's gamma and beta move although they are frozen. They are parameters like the others.",
            _step_by(
                lambda name, w, g, rate, trainable, rates: (
                    w - rate * g if name in trainable or name.endswith(("gamma", "beta")) else w
                )
            ),
        ),
        _idea(
            "fine_tune_step",
            "gamma-and-beta-never-trained",
            "Batch norm's gamma and beta never move, although trainable names them.",
            _step_by(
                lambda name, w, g, rate, trainable, rates: (
                    w - rate * g if name in trainable and name.endswith(("W", "b")) else w
                )
            ),
        ),
        _idea(
            "fine_tune_step",
            "in-place",
            "You change the arrays that you were given. Make new ones: the caller may still need the old.",
            _step_in_place,
        ),
        _idea(
            "fine_tune_step",
            "gradients-scaled-in-place",
            "You multiply the gradients by the rates in place. Leave them as they are.",
            _grads_scaled_in_place,
        ),
    ),
    hints=(
        "What should become of a parameter that is not in trainable?",
        "w - rate * g makes a new array; w -= rate * g changes the old one.",
        "A new dict over all names: the step where the name is in trainable, a copy where it is not.",
    ),
)

# --- transfer_strategy ----------------------------------------------------------------------------------------------

TOP, FEW, STAGES, MANY = (
    "train a linear classifier on the top features",
    "fine-tune a few layers",
    "train a linear classifier on features of several stages",
    "fine-tune many layers",
)
STRATEGIES = (TOP, FEW, STAGES, MANY)


def transfer_strategy(similar: bool, much_data: bool) -> str:
    """The table of CS231n, lecture 7 ("Transfer Learning with CNNs")."""
    return {(True, False): TOP, (True, True): FEW, (False, False): STAGES, (False, True): MANY}[similar, much_data]


_CELLS = {
    (True, False): "a similar target with few examples",
    (True, True): "a similar target with many examples",
    (False, False): "a different target with few examples",
    (False, True): "a different target with many examples",
}


def _table(play: Functions, rng: np.random.Generator) -> Observations:
    return {_CELLS[cell]: play.transfer_strategy(*cell) for cell in _CELLS}


def _cell(similar: bool, much_data: bool) -> Check:
    """One cell. It counts where its strategy stands in no other cell: the same answer everywhere is worth nothing. The
    message tells what is odd, never what was wanted."""
    cell = _CELLS[similar, much_data]

    def judge(seen: Observations, wanted: Observations, rng: np.random.Generator) -> Evidence:
        answer = seen[cell]
        if not isinstance(answer, str) or answer not in STRATEGIES:
            return Evidence(False, f"{describe(answer)} is none of the four strategies; the docstring lists them")
        twice = [
            other
            for other in _CELLS.values()
            if other != cell and isinstance(seen[other], str) and seen[other] == answer
        ]
        if twice:
            return Evidence(False, f"you say the same for {twice[0]}; each strategy has one cell")
        if answer == wanted[cell]:
            return Evidence(True)
        return Evidence(
            False,
            "not the lecture's advice. How far up do the old features still fit? How many weights can the data pay for?",
        )

    return Check(f"advises on {cell}", 1, _table, judge)


def _advice(table: Callable[[bool, bool], tuple[bool, bool]]) -> Callable[[bool, bool], str]:
    """The lecture's advice for another cell."""
    return lambda similar, much_data: transfer_strategy(*table(similar, much_data))


TRANSFER_STRATEGY = Exercise(
    name="transfer_strategy",
    asks="The lecture's advice: what to train, by how similar the target is and how many examples there are.",
    reference=transfer_strategy,
    returns=("strategy",),
    checks=tuple(_cell(*cell) for cell in _CELLS),
    misconceptions=(
        _idea(
            "transfer_strategy",
            "more-layers-with-less-data",
            "Your table trains more of the network where there are fewer examples. Which of the two needs more examples: a "
            "linear classifier, or many layers?",
            _advice(lambda similar, much_data: (similar, not much_data)),
        ),
        _idea(
            "transfer_strategy",
            "deeper-where-it-fits",
            "Your table distrusts the top features where source and target are alike, and trusts them where they are not.",
            _advice(lambda similar, much_data: (not similar, much_data)),
        ),
        _idea(
            "transfer_strategy",
            "both-turned-round",
            "Your table looks turned round in both directions. Think of one corner first: what do you do with 50 images "
            "that look like the source?",
            _advice(lambda similar, much_data: (not similar, not much_data)),
        ),
        _idea(
            "transfer_strategy",
            "arguments-swapped",
            "Two of your cells have changed places, as if similar and much_data were confused. Which comes first?",
            _advice(lambda similar, much_data: (much_data, similar)),
        ),
    ),
    hints=(
        "Few examples can pay for few weights. Which two of the four train the fewest?",
        "The lowest layers see edges and spots, the top ones what tells the source's classes apart. Which still fit "
        "a target that is quite different?",
        "Take the two columns (few, many examples) first; then decide in each which of the two goes deeper.",
    ),
)

EXERCISES = (
    REINITIALIZE_HEAD,
    SPLIT_FROZEN,
    EXTRACT_FEATURES,
    LINEAR_PROBE,
    LAYERWISE_LEARNING_RATES,
    FINE_TUNE_STEP,
    TRANSFER_STRATEGY,
)
