"""Answers to assignment 07, right and wrong."""

from __future__ import annotations

import itertools

import numpy as np

# --- penalties, right -----------------------------------------------------------------------------------------------


def l2_looping(w, strength):
    loss, grad = 0.0, np.zeros(w.shape)
    for index, value in np.ndenumerate(w):
        loss += strength / 2 * value**2
        grad[index] = strength * value
    return loss, grad


def l2_by_norm(w, strength):
    return np.array([strength * np.linalg.norm(w.ravel()) ** 2 / 2]), [*(w * strength)]


def l1_by_cases(w, strength):
    grad = np.zeros_like(w)
    grad[w > 0], grad[w < 0] = strength, -strength
    return strength * np.linalg.norm(w.ravel(), 1), grad


def l1_by_product(w, strength):
    """|w| is w times its sign."""
    sign = (w > 0).astype(float) - (w < 0)
    return (strength * sign * w).sum(), strength * sign


def elastic_by_parts(w, l1, l2):
    (a, da), (b, db) = l1_by_product(w, l1), l2_looping(w, l2)
    return a + b, da + db


def elastic_in_one(w, l1, l2):
    return np.sum((l1 + l2 / 2 * abs(w)) * abs(w)), np.sign(w) * (l1 + l2 * abs(w))


# --- dropout, right; each pair keeps something else in its cache ----------------------------------------------------


def dropout_of_the_starter(x, dropout_param):
    """The layout of the public course's starter file: np.random seeded globally, the mask with its 1/p in the cache."""
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    out = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    elif mode == "test":
        out = x
    cache = (dropout_param, mask)
    out = out.astype(x.dtype, copy=False)
    return out, cache


def dropout_back_of_the_starter(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        return dout * mask
    return dout


def dropout_by_binomial(x, dropout_param):
    """binomial counts as a mask, no cache at test time, single precision in between."""
    if dropout_param["mode"] != "train":
        return 1 * x, None
    rng = np.random.default_rng(dropout_param.get("seed"))
    mask = rng.binomial(1, dropout_param["p"], size=x.shape).astype(np.float32)
    return (x / dropout_param["p"]) * mask, [mask, dropout_param["p"]]


def dropout_back_by_where(dout, cache):
    if cache is None:
        return dout.copy()
    return np.where(cache[0] > 0, dout / cache[1], 0)


def dropout_looping(x, dropout_param):
    """Entry by entry with Python's own generator; the cache is the indices of what was kept."""
    import random

    if dropout_param["mode"] == "test":
        return x.tolist(), {"mode": "test"}
    generator = random.Random(dropout_param.get("seed"))
    out, kept = np.zeros(x.shape), []
    for index in np.ndindex(x.shape):
        if generator.random() <= dropout_param["p"]:
            out[index] = x[index] / dropout_param["p"]
            kept.append(index)
    return out, {"mode": "train", "kept": kept, "p": dropout_param["p"]}


def dropout_back_looping(dout, cache):
    if cache["mode"] == "test":
        return 0 + dout
    dx = np.zeros_like(dout)
    for index in cache["kept"]:
        dx[index] = dout[index] / cache["p"]
    return dx


def dropout_by_choice(x, dropout_param):
    """rng.choice between the two factors; the seed is used again in the backward pass to draw the same mask."""
    p = dropout_param["p"]
    seed = dropout_param.get("seed", int(np.random.SeedSequence().entropy % 2**63))
    factors = np.random.default_rng(seed).choice([0.0, 1 / p], size=x.size, p=[1 - p, p]).reshape(x.shape)
    if dropout_param["mode"] == "test":
        factors = np.ones(1)
    return factors * x, (dropout_param["mode"], p, seed)


def dropout_back_by_choice(dout, cache):
    mode, p, seed = cache
    if mode == "test":
        return dout[...]
    return dout * np.random.default_rng(seed).choice([0.0, 1 / p], size=dout.size, p=[1 - p, p]).reshape(dout.shape)


def dropout_in_float32(x, dropout_param):
    out, cache = dropout_of_the_starter(x.astype(np.float32), dropout_param)
    return out.astype(np.float32), cache


def dropout_back_in_float32(dout, cache):
    return dropout_back_of_the_starter(dout.astype(np.float32), cache).astype(np.float32)


DROPOUTS = {
    "starter": (dropout_of_the_starter, dropout_back_of_the_starter),
    "binomial": (dropout_by_binomial, dropout_back_by_where),
    "looping": (dropout_looping, dropout_back_looping),
    "choice": (dropout_by_choice, dropout_back_by_choice),
    "in-float32": (dropout_in_float32, dropout_back_in_float32),
}


def vanilla_by_indices(x, p, mode, rng):
    out = x.copy()
    if mode == "train":
        out[rng.uniform(size=x.shape) >= p] = 0
        return out, None
    return p * out, "nothing"


def vanilla_by_binomial(x, p, mode, rng):
    return (x * (rng.binomial(1, p, x.shape) if mode == "train" else p)), (x, p)


def vanilla_seeding_numpy(x, p, mode, rng):
    """Hands a seed from rng to the old interface."""
    np.random.seed(rng.integers(2**32))
    return (np.multiply(x, np.random.random_sample(x.shape) < p) if mode == "train" else np.multiply(x, p)), None


# --- dropconnect, right ---------------------------------------------------------------------------------------------


def connect_by_weights(x, W, b, p, mode, rng):
    V = W if mode == "test" else np.where(rng.random(W.shape) < p, W / p, 0.0)
    return x.dot(V) + b, (x, V, None if mode == "test" else (V != 0) / p)


def connect_back_by_weights(dout, cache):
    x, V, factors = cache
    dV = x.T.dot(dout)
    return dout.dot(V.T), dV if factors is None else dV * factors, dout.sum(0)


def connect_by_einsum(x, W, b, p, mode, rng):
    """One weight's fate after the other; the factors are in the cache as a list."""
    factors = [float(rng.random() < p) / p for _ in range(W.size)] if mode == "train" else [1.0] * W.size
    used = W * np.reshape(factors, W.shape)
    return np.einsum("nd,dk->nk", x, used) + b[None], {"x": x, "W": W, "factors": factors}


def connect_back_by_einsum(dout, cache):
    factors = np.reshape(cache["factors"], cache["W"].shape)
    dx = np.einsum("nk,dk->nd", dout, cache["W"] * factors)
    return dx, np.einsum("nd,nk->dk", cache["x"], dout) * factors, np.ones(len(dout)) @ dout


def connect_scaling_the_product(x, W, b, p, mode, rng):
    """Divides x @ (W * M) instead of the weights."""
    if mode == "test":
        return x @ W + b, (x, W, 1.0, 1.0)
    mask = rng.choice([False, True], size=W.shape, p=[1 - p, p])
    return x @ (W * mask) / p + b, (x, W, mask, p)


def connect_back_scaling_the_product(dout, cache):
    x, W, mask, p = cache
    return [dout / p @ (mask * W).T, mask * (x.T @ (dout / p)), np.sum(dout, axis=0)]


CONNECTS = {
    "weights": (connect_by_weights, connect_back_by_weights),
    "einsum": (connect_by_einsum, connect_back_by_einsum),
    "product": (connect_scaling_the_product, connect_back_scaling_the_product),
}

# --- noise and depth, right -----------------------------------------------------------------------------------------


def noise_by_normal(x, sigma, mode, rng):
    return (rng.normal(x, sigma) if mode == "train" else x), sigma


def noise_by_box_muller(x, sigma, mode, rng):
    """Two uniform numbers make a normal one."""
    if mode == "test":
        return x[...], None
    radius = np.sqrt(-2 * np.log(1 - rng.random(x.shape)))
    return x + sigma * radius * np.cos(2 * np.pi * rng.random(x.shape)), None


def noise_in_float32(x, sigma, mode, rng):
    out = x.astype(np.float32)
    if mode == "train":
        out = out + np.float32(sigma) * rng.standard_normal(x.shape, dtype=np.float32)
    return out, {}


NOISES = {
    "normal": (noise_by_normal, lambda dout, cache: dout),
    "box-muller": (noise_by_box_muller, lambda dout, cache: 1.0 * dout),
    "in-float32": (noise_in_float32, lambda dout, cache: dout.astype(np.float32)),
}


def depth_by_cases(x, branch_out, survival, mode, rng):
    if mode == "test":
        return x + survival * branch_out, survival
    if rng.uniform() < survival:
        return x + branch_out, True
    return x, False


def depth_back_by_factor(dout, cache):
    return dout, dout * cache


def depth_by_binomial(x, branch_out, survival, mode, rng):
    B = rng.binomial(1, survival) if mode == "train" else survival
    out = x.copy()
    out += B * branch_out
    return out, [mode, B]


def depth_back_by_list(dout, cache):
    mode, B = cache
    dbranch = np.zeros(dout.shape)
    if mode == "test" or B == 1:
        dbranch += B * dout
    return [dout + 0, dbranch]


def depth_by_choice(x, branch_out, survival, mode, rng):
    """A mask of the branch's shape, filled with one number; single precision."""
    B = rng.choice([0, 1], p=[1 - survival, survival]) if mode == "train" else survival
    mask = np.full(branch_out.shape, B, np.float32)
    return (x + mask * branch_out).astype(np.float32), mask


DEPTHS = {
    "cases": (depth_by_cases, depth_back_by_factor),
    "binomial": (depth_by_binomial, depth_back_by_list),
    "choice": (depth_by_choice, lambda dout, mask: (dout.astype(np.float32), dout * mask)),
}

# --- fractional pooling, right --------------------------------------------------------------------------------------


def regions_by_choice(size, out, rng):
    steps = np.ones(out, int)
    steps[rng.choice(out, size - out, replace=False)] += 1
    return [0, *np.cumsum(steps).tolist()]


def regions_by_trial(size, out, rng):
    """One region after the other: 2 with the share of twos among what is left."""
    boundaries, twos = [0], size - out
    for left in range(out, 0, -1):
        two = rng.random() < twos / left
        twos -= two
        boundaries.append(boundaries[-1] + 1 + int(two))
    return np.array(boundaries, dtype=float)


def regions_by_shuffle(size, out, rng):
    steps = [2] * (size - out) + [1] * (2 * out - size)
    rng.shuffle(steps)
    return np.append(0, np.cumsum(steps))


def pool_by_rows_first(x, rows, cols, overlapping=False):
    """The maximum over rows, then over columns. The cache is where each maximum is."""
    reach = 2 if overlapping else 1
    row_bands = [range(a, min(b + reach - 1, x.shape[2])) for a, b in itertools.pairwise(rows)]
    col_bands = [range(a, min(b + reach - 1, x.shape[3])) for a, b in itertools.pairwise(cols)]
    strips = np.stack([x[:, :, list(band)].max(axis=2) for band in row_bands], axis=2)
    out = np.stack([strips[:, :, :, list(band)].max(axis=3) for band in col_bands], axis=3)
    places = {}
    for n, c, i, j in np.ndindex(out.shape):
        places[n, c, i, j] = next((h, w) for h in row_bands[i] for w in col_bands[j] if x[n, c, h, w] == out[n, c, i, j])
    return out, (places, x.shape)


def pool_back_by_places(dout, cache):
    places, shape = cache
    dx = np.zeros(shape)
    for (n, c, i, j), (h, w) in places.items():
        dx[n, c, h, w] += dout[n, c, i, j]
    return dx


def pool_looping(x, rows, cols, overlapping=False):
    out = np.zeros((x.shape[0], x.shape[1], len(rows) - 1, len(cols) - 1))
    for n, c, i, j in np.ndindex(out.shape):
        out[n, c, i, j] = np.max(x[n, c, rows[i] : rows[i + 1] + overlapping, cols[j] : cols[j + 1] + overlapping])
    return out, (x, rows, cols, overlapping)


def pool_back_by_argmax(dout, cache):
    x, rows, cols, overlapping = cache
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        region = x[n, c, rows[i] : rows[i + 1] + overlapping, cols[j] : cols[j + 1] + overlapping]
        h, w = np.unravel_index(region.argmax(), region.shape)
        dx[n, c, rows[i] + h, cols[j] + w] += dout[n, c, i, j]
    return dx


POOLS = {
    "rows-first": (pool_by_rows_first, pool_back_by_places),
    "looping": (pool_looping, pool_back_by_argmax),
}

# --- test time, right -----------------------------------------------------------------------------------------------


def marginalized_running(forward, x, samples, rng):
    mean = 0.0
    for number in range(samples):
        mean = mean + (forward(x, rng) - mean) / (number + 1)
    return mean


def marginalized_with_children(forward, x, samples, rng):
    """A generator for each sample, seeded from rng."""
    seeds = rng.integers(2**32, size=samples)
    return sum(forward(x, np.random.default_rng(int(seed))) for seed in seeds) / samples


def pairs(forward, backward, table):
    return {id: {forward: there, backward: back} for id, (there, back) in table.items()}


RIGHT = {
    "l2_penalty": {"looping": l2_looping, "norm": l2_by_norm},
    "l1_penalty": {"cases": l1_by_cases, "product": l1_by_product},
    "elastic_net_penalty": {"parts": elastic_by_parts, "one": elastic_in_one},
    "dropout_forward": {id: forward for id, (forward, _) in DROPOUTS.items()},
    "dropout_backward": pairs("dropout_forward", "dropout_backward", DROPOUTS),
    "vanilla_dropout_forward": {
        "indices": vanilla_by_indices, "binomial": vanilla_by_binomial, "seeding": vanilla_seeding_numpy
    },
    "dropconnect_forward": {id: forward for id, (forward, _) in CONNECTS.items()},
    "dropconnect_backward": pairs("dropconnect_forward", "dropconnect_backward", CONNECTS),
    "gaussian_noise_forward": {id: forward for id, (forward, _) in NOISES.items()},
    "gaussian_noise_backward": pairs("gaussian_noise_forward", "gaussian_noise_backward", NOISES),
    "stochastic_depth_forward": {id: forward for id, (forward, _) in DEPTHS.items()},
    "stochastic_depth_backward": pairs("stochastic_depth_forward", "stochastic_depth_backward", DEPTHS),
    "fractional_pool_regions": {"choice": regions_by_choice, "trial": regions_by_trial, "shuffle": regions_by_shuffle},
    "fractional_max_pool_forward": {id: forward for id, (forward, _) in POOLS.items()},
    "fractional_max_pool_backward": pairs("fractional_max_pool_forward", "fractional_max_pool_backward", POOLS),
    "predict_marginalized": {"running": marginalized_running, "children": marginalized_with_children},
}  # fmt: skip

# --- wrong ----------------------------------------------------------------------------------------------------------


def dropout_with(mask_of, scale=lambda p: 1 / p, test=lambda x, p: x):
    """A dropout with the mask ``mask_of(x, p)`` that ignores nothing else."""

    def forward(x, dropout_param):
        p = dropout_param["p"]
        if dropout_param["mode"] == "test":
            return test(x, p), None
        np.random.seed(dropout_param.get("seed"))
        return x * mask_of(x, p) * scale(p), None

    return forward


def dropout_for_two_axes(x, dropout_param):
    rows, columns = x.shape
    return dropout_of_the_starter(x.reshape(rows, columns), dropout_param)


def dropout_unscaled(x, dropout_param):
    if dropout_param["mode"] == "test":
        return x, None
    mask = np.random.rand(*x.shape) < dropout_param["p"]
    return x * mask, mask


def fixed_number_a_row(x, p):
    rows = x.reshape(len(x), -1)
    keep = np.arange(rows.shape[1]) < round(p * rows.shape[1])
    return np.stack([np.random.permutation(keep) for _ in rows]).reshape(x.shape)


def in_order(x, p):
    """The same number in each column at least: entries are dealt out like cards."""
    order = np.argsort(np.random.rand(*x.shape), axis=0)
    return order < p * len(x)


def dropout_needing_a_seed(x, dropout_param):
    np.random.seed(dropout_param["seed"])
    return dropout_of_the_starter(x, dropout_param)


def dropout_to_the_mean(x, dropout_param):
    out, cache = dropout_of_the_starter(x, dropout_param)
    return (out + (out == 0) * x.mean() if dropout_param["mode"] == "train" else out), cache


def dropout_counting(x, dropout_param):
    """Scales by the share that was kept, not by p."""
    out, (_, mask) = dropout_of_the_starter(x, dropout_param)
    return (out if mask is None else x * (mask > 0) / max((mask > 0).mean(), 1e-9)), None


def dropout_p_at_least_half(x, dropout_param):
    return dropout_of_the_starter(x, {**dropout_param, "p": max(dropout_param["p"], 0.5)})


def dropout_shifting_rows(x, dropout_param):
    """One random row of numbers for each example, moved on by one place from row to row."""
    if dropout_param["mode"] == "test":
        return x, None
    np.random.seed(dropout_param.get("seed"))
    mask = np.random.rand(x[0].size) < dropout_param["p"]
    masks = np.stack([np.roll(mask, n % 7) for n in range(len(x))]).reshape(x.shape)
    return x * masks / dropout_param["p"], None


def back_through(change):
    """The starter's backward pass with something done to its result."""
    return {
        "dropout_forward": dropout_of_the_starter,
        "dropout_backward": lambda dout, cache: change(dropout_back_of_the_starter(dout, cache), dout, cache),
    }


def spoiled(forward_name, backward_name, forward, backward):
    """Mistakes that need no idea of what a backward pass does; every result spoiled alike."""

    def done(change):
        def changed(dout, cache):
            results = backward(dout, cache)
            return tuple(change(part) for part in results) if isinstance(results, (tuple, list)) else change(results)

        return {forward_name: forward, backward_name: changed}

    calls = []

    def once(part):
        calls.append(part)
        return part if len(calls) == 1 else 2 * np.asarray(part)

    return {
        "doubled": done(lambda part: 2 * part),
        "negative": done(lambda part: -part),
        "zeros": done(lambda part: 0 * part),
        "nan": done(lambda part: part * np.nan),
        "as-text": done(str),
        "one-axis-more": done(lambda part: np.stack([part] * 2)),
        "off-by-a-thousandth": done(lambda part: 1.001 * part),
        "first-entry-off": done(lambda part: part + (np.arange(part.size) == 0).reshape(part.shape)),
        "right-at-the-first-call-only": done(once),
    }


def connect_with(change):
    return lambda x, W, b, p, mode, rng: change(x, W, b, p, mode, rng)


def depth_pair(backward):
    return {"stochastic_depth_forward": depth_by_binomial, "stochastic_depth_backward": backward}


def pool_pair(backward):
    return {"fractional_max_pool_forward": pool_looping, "fractional_max_pool_backward": backward}


def pool_back_with_equal_values(dout, cache):
    """Every entry of the image that equals a region's maximum, wherever it is, and only in the first channel."""
    dx = pool_back_by_argmax(dout, cache)
    dx[:, 1:] = dx[:, :1]
    return dx


def regions_with_threes(size, out, rng):
    steps = regions_by_choice(size, out, rng)
    return [0, 3, *steps[2:]] if out > 2 and steps[2] >= 3 else steps


def regions_by_halves(size, out, rng):
    """Random within each half, with as many twos in both."""
    steps = np.diff(regions_by_choice(size, out, rng))
    steps = np.sort(steps)[::-1]
    half = np.concatenate([steps[::2], steps[1::2]])
    for part in (half[: (out + 1) // 2], half[(out + 1) // 2 :]):
        rng.shuffle(part)
    return np.concatenate([[0], np.cumsum(half)])


WRONG = {
    "l2_penalty": {
        "last-axis-only": lambda w, s: (0.5 * s * np.sum(w**2, axis=-1), s * w),
        "sum-squared": lambda w, s: (0.5 * s * np.sum(w) ** 2, s * np.sum(w) * np.ones_like(w)),
        "flattened-gradient": lambda w, s: (l2_looping(w, s)[0], s * w.ravel()),
        "two-axes-only": lambda w, s: (0.5 * s * np.trace(w @ w.T), s * w),
    },
    "l1_penalty": {
        "smoothed": lambda w, s: (s * np.sum(np.sqrt(w**2 + 1e-3)), s * w / np.sqrt(w**2 + 1e-3)),
        "largest-only": lambda w, s: (s * np.max(np.abs(w)), s * np.sign(w)),
        "spectral": lambda w, s: (s * np.linalg.norm(w.reshape(len(w), -1), 2), s * np.sign(w)),
        "gradient-of-the-size": lambda w, s: (s * np.sum(np.abs(w)), s * np.abs(w)),
    },
    "elastic_net_penalty": {
        "multiplied": lambda w, l1, l2: (
            l1_by_cases(w, l1)[0] * l2_looping(w, l2)[0], l1_by_cases(w, l1)[1] * l2_looping(w, l2)[1]
        ),
        "averaged": lambda w, l1, l2: tuple(np.asarray(part) / 2 for part in elastic_in_one(w, l1, l2)),
        "gradient-of-l2-only": lambda w, l1, l2: (elastic_in_one(w, l1, l2)[0], l2 * w),
        "gradient-of-l1-only": lambda w, l1, l2: (elastic_in_one(w, l1, l2)[0], l1 * np.sign(w)),
    },
    "dropout_forward": {
        "gaussian-dropout": dropout_with(lambda x, p: np.random.normal(1, np.sqrt((1 - p) / p), x.shape), lambda p: 1),
        "two-axes-only": dropout_for_two_axes,
        "fixed-number-a-row": dropout_with(fixed_number_a_row),
        "fixed-number-a-column": dropout_with(in_order),
        "root-of-p": dropout_with(lambda x, p: np.random.rand(*x.shape) < p, lambda p: p**-0.5),
        "seed-needed": dropout_needing_a_seed,
        "dropped-to-the-mean": dropout_to_the_mean,
        "scaled-by-what-was-kept": dropout_counting,
        "p-at-least-a-half": dropout_p_at_least_half,
        "half-whatever-p": dropout_with(lambda x, p: np.random.rand(*x.shape) < 0.5, lambda p: 2),
        "absolute-normal-numbers": dropout_with(lambda x, p: np.abs(np.random.randn(*x.shape)) < p),
        "uniform-on-both-sides": dropout_with(lambda x, p: np.random.uniform(-1, 1, x.shape) < p),
        "uniform-mask-not-compared": dropout_with(lambda x, p: np.random.rand(*x.shape) * 2 * p),
        "shifted-rows": dropout_shifting_rows,
        "scaled-at-test-time-by-1-p": dropout_with(
            lambda x, p: np.random.rand(*x.shape) < p, lambda p: 1, lambda x, p: x * (1 - p)
        ),
        "nothing-dropped": dropout_with(lambda x, p: np.ones(x.shape), lambda p: 1, lambda x, p: x * p),
        "rounded": dropout_with(lambda x, p: np.round(np.random.rand(*x.shape) + p - 0.5).clip(0, 1) * (p > 0.4)),
    },
    "dropout_backward": {
        **spoiled("dropout_forward", "dropout_backward", dropout_of_the_starter, dropout_back_of_the_starter),
        "half-passes": back_through(lambda dx, dout, cache: (dx + dout) / 2),
        "clipped": back_through(lambda dx, dout, cache: np.clip(dx, -1, 1)),
        "by-the-sign": back_through(lambda dx, dout, cache: np.abs(dx)),
        "first-example-only": back_through(lambda dx, dout, cache: dx * (np.arange(len(dx)) == 0).reshape(
            (-1,) + (1,) * (dx.ndim - 1))),
        "test-time-crash": {
            "dropout_forward": dropout_of_the_starter, "dropout_backward": lambda dout, cache: dout * cache[1]
        },
        "gradient-of-unscaled": {
            "dropout_forward": dropout_unscaled,
            "dropout_backward": lambda dout, cache: dout if cache is None else dout * cache,
        },
    },
    "vanilla_dropout_forward": {
        "root-of-p-at-test-time": lambda x, p, mode, rng: (
            x * p**0.5 if mode == "test" else x * (rng.random(x.shape) < p), None
        ),
        "half-whatever-p": lambda x, p, mode, rng: (x * (p if mode == "test" else rng.random(x.shape) < 0.5), None),
        "fixed-number-a-row": lambda x, p, mode, rng: (
            x * p if mode == "test" else x * (np.argsort(rng.random(x.shape), axis=-1) < p * x.shape[-1]), None
        ),
        "two-axes-only": lambda x, p, mode, rng: (
            x * p if mode == "test" else x * (rng.random((x.shape[0], x.shape[1])) < p), None
        ),
        "noise-instead": lambda x, p, mode, rng: (x * p if mode == "test" else x * rng.random(x.shape), None),
        "no-copy-of-rng": lambda x, p, mode, rng: (
            x * p if mode == "test" else x * (np.random.default_rng(int(rng.bit_generator.state["state"]["inc"] % 7)).random(
                x.shape) < p), None
        ),
    },
    "dropconnect_forward": {
        "sum-over-outputs-kept": connect_with(lambda x, W, b, p, mode, rng: (
            x @ W + b if mode == "test" else x @ (W * (np.argsort(rng.random(W.shape), axis=0) < p * len(W)) / p) + b, None
        )),
        "bias-counted-twice": connect_with(lambda x, W, b, p, mode, rng: (
            connect_by_weights(x, W, b, p, mode, rng)[0] + b * (mode == "test"), None
        )),
        "W-at-random-signs": connect_with(lambda x, W, b, p, mode, rng: (
            x @ W + b if mode == "test" else x @ (W * rng.choice([-1, 1], W.shape)) + b, None
        )),
        "gaussian-weights": connect_with(lambda x, W, b, p, mode, rng: (
            x @ W + b if mode == "test" else x @ (W * rng.normal(1, np.sqrt((1 - p) / p), W.shape)) + b, None
        )),
        "half-whatever-p": connect_with(lambda x, W, b, p, mode, rng: connect_by_weights(x, W, b, 0.5, mode, rng)),
        "scaled-bias-at-test-time": connect_with(lambda x, W, b, p, mode, rng: (
            x @ W + p * b if mode == "test" else connect_by_weights(x, W, b, p, mode, rng)[0], None
        )),
    },
    "dropconnect_backward": {
        **spoiled("dropconnect_forward", "dropconnect_backward", connect_by_weights, connect_back_by_weights),
        "dx-and-dW-swapped": {
            "dropconnect_forward": connect_by_weights,
            "dropconnect_backward": lambda dout, cache: tuple(connect_back_by_weights(dout, cache)[k] for k in (1, 0, 2)),
        },
        "db-over-the-outputs": {
            "dropconnect_forward": connect_by_weights,
            "dropconnect_backward": lambda dout, cache: (*connect_back_by_weights(dout, cache)[:2], dout.sum(axis=1)),
        },
        "dW-averaged": {
            "dropconnect_forward": connect_by_weights,
            "dropconnect_backward": lambda dout, cache: tuple(
                part / (len(dout) if k == 1 else 1) for k, part in enumerate(connect_back_by_weights(dout, cache))
            ),
        },
    },
    "gaussian_noise_forward": {
        "uniform-of-the-same-spread": lambda x, sigma, mode, rng: (
            x + sigma * rng.uniform(-(3**0.5), 3**0.5, x.shape) if mode == "train" else x, None
        ),
        "signs-only": lambda x, sigma, mode, rng: (
            x + sigma * rng.choice([-1, 1], x.shape) if mode == "train" else x, None
        ),
        "laplace": lambda x, sigma, mode, rng: (
            x + sigma * rng.laplace(0, 0.5**0.5, x.shape) if mode == "train" else x, None
        ),
        "positive": lambda x, sigma, mode, rng: (
            x + sigma * np.abs(rng.standard_normal(x.shape)) if mode == "train" else x, None
        ),
        "as-large-as-x": lambda x, sigma, mode, rng: (
            x + sigma * x.std() * rng.standard_normal(x.shape) if mode == "train" else x, None
        ),
        "repeated-by-rows": lambda x, sigma, mode, rng: (
            x + sigma * np.resize(rng.standard_normal((2, *x.shape[1:])), x.shape) if mode == "train" else x, None
        ),
        "constant": lambda x, sigma, mode, rng: (x + sigma if mode == "train" else x, None),
    },
    "gaussian_noise_backward": {
        **spoiled("gaussian_noise_forward", "gaussian_noise_backward", *NOISES["normal"]),
        "noisy": {
            "gaussian_noise_forward": noise_by_normal,
            "gaussian_noise_backward": lambda dout, cache: dout + np.random.standard_normal(dout.shape),
        },
    },
    "stochastic_depth_forward": {
        "half-whatever-survival": lambda x, branch_out, survival, mode, rng: depth_by_cases(
            x, branch_out, 0.5 if mode == "train" else survival, mode, rng),
        "branch-with-noise": lambda x, branch_out, survival, mode, rng: (
            x + (survival if mode == "test" else rng.random()) * branch_out, None
        ),
        "alternating": lambda x, branch_out, survival, mode, rng, calls=[0]: (
            x + (survival if mode == "test" else _counted(calls) % 2) * branch_out, None
        ),
        "root-of-survival-at-test-time": lambda x, branch_out, survival, mode, rng: depth_by_cases(
            x, branch_out, survival if mode == "train" else survival**0.5, mode, rng),
        "branch-only-at-test-time": lambda x, branch_out, survival, mode, rng: (
            depth_by_cases(x, branch_out, survival, mode, rng) if mode == "train" else (survival * branch_out, None)
        ),
        "subtracted": lambda x, branch_out, survival, mode, rng: depth_by_cases(x, -branch_out, survival, mode, rng),
    },
    "stochastic_depth_backward": {
        **spoiled("stochastic_depth_forward", "stochastic_depth_backward", depth_by_binomial, depth_back_by_list),
        "swapped": depth_pair(lambda dout, cache: tuple(reversed(depth_back_by_list(dout, cache)))),
        "averaged": depth_pair(lambda dout, cache: tuple(part / len(part) for part in depth_back_by_list(dout, cache))),
        "halved": depth_pair(lambda dout, cache: (dout / 2, depth_back_by_list(dout, cache)[1])),
    },
    "fractional_pool_regions": {
        "threes": regions_with_threes,
        "random-within-halves": regions_by_halves,
        "one-region-less": lambda size, out, rng: regions_by_choice(size, out, rng)[:-1],
        "lengths": lambda size, out, rng: np.diff(regions_by_choice(size, out, rng)),
        "descending": lambda size, out, rng: regions_by_choice(size, out, rng)[::-1],
        "coins": lambda size, out, rng: np.minimum(np.append(0, np.cumsum(rng.integers(1, 3, out))), size),
    },
    "fractional_max_pool_forward": {
        "minimum": lambda x, rows, cols, overlapping=False: (-pool_looping(-x, rows, cols, overlapping)[0], None),
        "a-little-less": lambda x, rows, cols, overlapping=False: (
            pool_looping(x, rows, cols, overlapping)[0] - 0.05, None
        ),
        "first-image-only": lambda x, rows, cols, overlapping=False: (
            np.repeat(pool_looping(x[:1], rows, cols, overlapping)[0], len(x), axis=0), None
        ),
        "rows-and-columns-swapped": lambda x, rows, cols, overlapping=False: (
            pool_looping(x.swapaxes(2, 3), cols, rows, overlapping)[0], None
        ),
        "boundaries-as-lengths": lambda x, rows, cols, overlapping=False: (
            pool_looping(x, np.arange(len(rows)), np.arange(len(cols)), overlapping)[0], None
        ),
    },
    "fractional_max_pool_backward": {
        **spoiled("fractional_max_pool_forward", "fractional_max_pool_backward", pool_looping, pool_back_by_argmax),
        "rows-for-columns": pool_pair(lambda dout, cache: pool_back_by_argmax(dout, (*cache[:2], cache[1], cache[3]))),
        "first-channel-for-all": pool_pair(pool_back_with_equal_values),
        "last-image-missing": pool_pair(lambda dout, cache: pool_back_by_argmax(
            dout * (np.arange(len(dout)) < len(dout) - 1)[:, None, None, None], cache)),
        "moved-by-one": pool_pair(lambda dout, cache: np.roll(pool_back_by_argmax(dout, cache), 1, axis=3)),
    },
    "predict_marginalized": {
        "ten-samples": lambda forward, x, samples, rng: np.mean([forward(x, rng) for _ in range(10)], axis=0),
        "first-half": lambda forward, x, samples, rng: np.mean(
            [forward(x, rng) for _ in range(samples)][: max(samples // 2, 1)], axis=0),
        "example-by-example": lambda forward, x, samples, rng: np.concatenate(
            [np.mean([forward(x[n : n + 1], rng)[:1] for _ in range(samples)], axis=0) for n in range(len(x))]),
        "mean-input": lambda forward, x, samples, rng: np.mean(
            [forward(x + rng.normal(0, 0.1, x.shape), rng) for _ in range(samples)], axis=0),
        "sorted": lambda forward, x, samples, rng: np.sort(marginalized_running(forward, x, samples, rng), axis=1),
    },
}  # fmt: skip


def _counted(calls):
    calls[0] += 1
    return calls[0]


DEFECTS: dict[tuple[str, str], str] = {}
