"""Answers to assignment 08, right and wrong."""

from __future__ import annotations

import numpy as np

# --- right: given parameters ------------------------------------------------------------------------------------------


def flip_by_fancy_index(x, which):
    out = np.array(x)
    out[which] = x[which, :, :, ::-1]
    return out


def flip_by_columns(x, which):
    """Each image fetches its columns in its own order."""
    w = x.shape[3]
    columns = np.where(which[:, None], np.arange(w)[::-1], np.arange(w))
    return np.take_along_axis(x, np.broadcast_to(columns[:, None, None, :], x.shape), axis=3)


def crop_looping(x, top, left, size):
    out = np.empty((x.shape[0], x.shape[1], size, size))
    for n in range(len(x)):
        out[n] = x[n, :, top[n] : top[n] + size, left[n] : left[n] + size]
    return out


def crop_by_index(x, top, left, size):
    n, c = np.arange(len(x))[:, None, None, None], np.arange(x.shape[1])[:, None, None]
    offset = np.arange(size)
    return x[n, c, (top[:, None] + offset)[:, None, :, None], (left[:, None] + offset)[:, None, None, :]]


def resize_pixel_by_pixel(x, size):
    h, w = x.shape[2:]
    out = np.zeros((*x.shape[:2], size, size))
    for i in range(size):
        r = min(max((i + 0.5) * h / size - 0.5, 0.0), h - 1.0)
        r0 = int(r)
        r1 = min(r0 + 1, h - 1)
        for j in range(size):
            c = min(max((j + 0.5) * w / size - 0.5, 0.0), w - 1.0)
            c0 = int(c)
            c1 = min(c0 + 1, w - 1)
            a, b = r - r0, c - c0
            out[:, :, i, j] = (
                (1 - a) * (1 - b) * x[:, :, r0, c0] + (1 - a) * b * x[:, :, r0, c1]
                + a * (1 - b) * x[:, :, r1, c0] + a * b * x[:, :, r1, c1]
            )  # fmt: skip
    return out


def resize_by_matrices(x, size):
    def matrix(length):
        m = np.zeros((size, length))
        for i in range(size):
            p = np.clip((i + 0.5) * length / size - 0.5, 0, length - 1)
            low = int(np.floor(p))
            m[i, low] += 1 - (p - low)
            m[i, min(low + 1, length - 1)] += p - low
        return m

    return np.einsum("ih,nchw,jw->ncij", matrix(x.shape[2]), x, matrix(x.shape[3]))


def resize_in_float32(x, size):
    return resize_by_matrices(x.astype(np.float32), size).astype(np.float32)


def brightness_looping(x, factor):
    factors = np.ones(len(x)) * factor
    return np.stack([np.clip(image * f, 0, 1) for image, f in zip(x, factors, strict=True)])


def brightness_masking(x, factor):
    out = (x.T * factor).T
    out[out > 1] = 1
    out[out < 0] = 0
    return out


def contrast_looping(x, factor):
    out = np.zeros_like(x)
    for n in range(len(x)):
        f = factor if np.ndim(factor) == 0 else factor[n]
        out[n] = (1 - f) * x[n].mean() + f * x[n]
    return out.clip(0, 1)


def contrast_flat(x, factor):
    flat = x.reshape(len(x), -1)
    mean = flat.mean(axis=1, keepdims=True)
    return np.clip(mean + np.reshape(factor, (-1, 1)) * (flat - mean), 0.0, 1.0).reshape(x.shape)


def lighting_einsum(x, alphas, eigenvalues, eigenvectors):
    return (x + np.einsum("ck,nk->nc", eigenvectors, alphas * eigenvalues)[..., None, None]).clip(0, 1)


def lighting_by_axes(x, alphas, eigenvalues, eigenvectors):
    out = x.copy()
    for k in range(3):
        out += (alphas[:, k] * eigenvalues[k])[:, None, None, None] * eigenvectors[:, k][None, :, None, None]
    return np.clip(out, 0, 1)


def warp_pixel_by_pixel(x, matrix):
    n_images, c, h, w = x.shape
    out = np.zeros(x.shape)
    for n in range(n_images):
        for i in range(h):
            for j in range(w):
                xi, yi = matrix[n] @ np.array([j - (w - 1) / 2, i - (h - 1) / 2, 1.0])
                col, row = xi + (w - 1) / 2, yi + (h - 1) / 2
                r0, c0 = int(np.floor(row)), int(np.floor(col))
                for r in (r0, r0 + 1):
                    for k in (c0, c0 + 1):
                        if 0 <= r < h and 0 <= k < w:
                            out[n, :, i, j] += (1 - abs(row - r)) * (1 - abs(col - k)) * x[n, :, r, k]
    return out


def warp_on_a_frame(x, matrix):
    """A frame of two zeros; positions far away are moved into it."""
    n, c, h, w = x.shape
    framed = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    grid = np.indices((h, w)).reshape(2, -1).astype(float)
    centred = np.vstack([grid[1] - (w - 1) / 2, grid[0] - (h - 1) / 2, np.ones(h * w)])
    result = []
    for image, m in zip(framed, matrix, strict=True):
        col, row = m @ centred
        col, row = np.clip(col + (w - 1) / 2 + 2, 0, w + 2.5), np.clip(row + (h - 1) / 2 + 2, 0, h + 2.5)
        c0, r0 = col.astype(int), row.astype(int)
        a, b = row - r0, col - c0
        pixels = (
            image[:, r0, c0] * (1 - a) * (1 - b) + image[:, r0, c0 + 1] * (1 - a) * b
            + image[:, r0 + 1, c0] * a * (1 - b) + image[:, r0 + 1, c0 + 1] * a * b
        )  # fmt: skip
        result.append(pixels.reshape(c, h, w))
    return np.array(result)


def ten_crop_listed(x, size):
    h, w = x.shape[2:]
    crops = []
    for image in (x, np.flip(x, axis=3)):
        crops.append(image[..., :size, :size])
        crops.append(image[..., :size, w - size :])
        crops.append(image[..., h - size :, :size])
        crops.append(image[..., h - size :, w - size :])
        t, k = (h - size) // 2, (w - size) // 2
        crops.append(image[..., t : t + size, k : k + size])
    return np.array(crops)


def ten_crop_from_mirrored_places(x, size):
    """The mirrored image's crops are the mirrored crops from the mirrored places."""
    h, w = x.shape[2:]
    down, right = h - size, w - size
    places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    plain = [x[:, :, t : t + size, k : k + size] for t, k in places]
    mirrored = [x[:, :, t : t + size, right - k : right - k + size][..., ::-1] for t, k in places]
    return np.stack(plain + mirrored)


# --- right: drawn parameters ------------------------------------------------------------------------------------------


def random_flip_binomial(x, rng, p=0.5):
    return flip_by_fancy_index(x, rng.binomial(1, p, size=len(x)).astype(bool))


def random_flip_choice(x, rng, p=0.5):
    out = x.copy()
    for n in range(len(x)):
        if rng.choice([True, False], p=[p, 1 - p]):
            out[n] = np.flip(out[n], axis=-1)
    return out.astype(np.float32)


def random_crop_vectorised(x, size, padding, rng):
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    h, w = padded.shape[2:]
    top = rng.integers(0, h - size, size=len(x), endpoint=True)
    left = rng.integers(0, w - size, size=len(x), endpoint=True)
    return crop_by_index(padded, top, left, size)


def random_crop_floored(x, size, padding, rng):
    """Uniform numbers times the number of places, rounded down; the frame is never made."""
    n, c, h, w = x.shape
    out = np.zeros((n, c, size, size))
    for k in range(n):
        top = int(rng.random() * (h + 2 * padding - size + 1)) - padding
        left = int(rng.random() * (w + 2 * padding - size + 1)) - padding
        for i in range(size):
            for j in range(size):
                if 0 <= top + i < h and 0 <= left + j < w:
                    out[k, :, i, j] = x[k, :, top + i, left + j]
    return out


def random_resized_crop_looping(x, size, scale, rng):
    n, c, h, w = x.shape
    out = np.zeros((n, c, size, size))
    for k in range(n):
        side = round((min(h, w) ** 2 * rng.uniform(*scale)) ** 0.5)
        side = max(side, 1)
        top, left = rng.integers(h - side + 1), rng.integers(w - side + 1)
        out[k : k + 1] = resize_by_matrices(x[k : k + 1, :, top : top + side, left : left + side], size)
    return out


def random_resized_crop_by_choice(x, size, scale, rng):
    low, high = scale
    shares = low + (high - low) * rng.random(len(x))
    sides = np.maximum(np.floor(np.sqrt(shares) * min(x.shape[2:]) + 0.5).astype(int), 1)
    squares = []
    for image, side in zip(x, sides, strict=True):
        top, left = rng.choice(x.shape[2] - side + 1), rng.choice(x.shape[3] - side + 1)
        squares.append(resize_by_matrices(image[None, :, top : top + side, left : left + side], size)[0])
    return np.array(squares, dtype=np.float32)


def jitter_vectorised(x, brightness, contrast, rng):
    b = rng.uniform(max(0, 1 - brightness), 1 + brightness, (len(x), 1, 1, 1))
    c = rng.uniform(max(0, 1 - contrast), 1 + contrast, (len(x), 1, 1, 1))
    x = np.clip(b * x, 0, 1)
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip(c * x + (1 - c) * mean, 0, 1)


def jitter_looping(x, brightness, contrast, rng):
    """Contrast is drawn first, and applied second."""
    out = []
    for image in x.astype(np.float32):
        low = max(0.0, 1.0 - contrast)
        c = low + (1 + contrast - low) * rng.random()
        low = max(0.0, 1.0 - brightness)
        b = low + (1 + brightness - low) * rng.random()
        image = np.minimum(image * np.float32(b), 1)
        out.append(np.clip((image - image.mean()) * np.float32(c) + image.mean(), 0, 1))
    return np.stack(out)


def random_affine_homogeneous(x, degrees, translate, scale, shear, rng):
    """3 x 3 matrices, multiplied in order and inverted."""
    h, w = x.shape[2:]
    matrices = []
    for _ in range(len(x)):
        s, phi = rng.uniform(scale[0], scale[1]), np.radians(rng.uniform(-shear, shear))
        theta = np.radians(rng.uniform(-degrees, degrees))
        scaling = np.diag([s, s, 1.0])
        shearing = np.array([[1, np.tan(phi), 0], [0, 1, 0], [0, 0, 1]])
        rotation = np.array([[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
        shift = np.eye(3)
        shift[:2, 2] = rng.uniform(-translate * w, translate * w), rng.uniform(-translate * h, translate * h)
        matrices.append(np.linalg.inv(shift @ rotation @ shearing @ scaling)[:2])
    return warp_on_a_frame(x, np.array(matrices))


def random_affine_by_inverses(x, degrees, translate, scale, shear, rng):
    """The way back by hand: unshift, turn back, shear back, divide by the scale. y upwards would turn the other way."""
    h, w = x.shape[2:]
    n = len(x)
    t = np.deg2rad(rng.random(n) * 2 * degrees - degrees)
    k = np.tan(np.deg2rad(rng.random(n) * 2 * shear - shear))
    s = scale[0] + (scale[1] - scale[0]) * rng.random(n)
    dx, dy = (2 * rng.random(n) - 1) * translate * w, (2 * rng.random(n) - 1) * translate * h
    back = np.zeros((n, 2, 3))
    back[:, 0, 0] = (np.cos(t) - k * np.sin(t)) / s
    back[:, 0, 1] = (-np.sin(t) - k * np.cos(t)) / s
    back[:, 1, 0] = np.sin(t) / s
    back[:, 1, 1] = np.cos(t) / s
    back[:, :, 2] = -back[:, :, 0] * dx[:, None] - back[:, :, 1] * dy[:, None]
    return warp_on_a_frame(x, back)


def cutout_masked(x, size, rng):
    n, _, h, w = x.shape
    rows, columns = rng.integers(0, h, n), rng.integers(0, w, n)
    mask = np.ones((n, 1, h, w))
    for k in range(n):
        first, before = rows[k] - (size - 1) // 2, columns[k] - (size - 1) // 2
        mask[k, 0, max(first, 0) : first + size, max(before, 0) : before + size] = 0
    return (x * mask).astype(np.float32)


def cutout_by_flat_place(x, size, rng):
    """One whole number for row and column together; the square is cut from a padded image."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (size, size), (size, size)))
    for k in range(n):
        row, column = divmod(int(rng.integers(h * w)), w)
        top, left = row - size // 2 + size, column - size // 2 + size
        padded[k, :, top : top + size, left : left + size] = 0
    return padded[:, :, size : size + h, size : size + w]


def mixup_vectorised(x, y_onehot, alpha, rng):
    order = rng.permutation(len(x))
    lam = rng.beta(alpha, alpha)
    return lam * x + (1 - lam) * x[order], lam * y_onehot + (1 - lam) * y_onehot[order]


def mixup_by_example(x, y_onehot, alpha, rng):
    """One lambda an example, from two gamma variables."""
    a, b = rng.gamma(alpha, size=(2, len(x)))
    lam = a / (a + b)
    order = np.argsort(rng.random(len(x)))
    weight = lam[:, None, None, None]
    return x[order] + weight * (x - x[order]), y_onehot[order] + lam[:, None] * (y_onehot - y_onehot[order])


def mixup_counting_the_partner(x, y_onehot, alpha, rng):
    """lambda belongs to the partner: the distribution is symmetric."""
    lam = rng.beta(alpha, alpha)
    order = np.arange(len(x))
    rng.shuffle(order)
    x_mixed, y_mixed = (1 - lam) * x, (1 - lam) * y_onehot
    x_mixed += lam * x[order]
    y_mixed += lam * y_onehot[order]
    return [x_mixed, y_mixed]


def multi_crop_at_once(forward, x, size):
    crops = ten_crop_listed(x, size)
    return forward(crops.reshape(-1, *crops.shape[2:])).reshape(10, len(x), -1).mean(axis=0)


def multi_crop_running(forward, x, size):
    total = 0.0
    for crops in ten_crop_listed(x, size):
        total = total + forward(crops)
    return total / 10


def multi_crop_image_by_image(forward, x, size):
    return np.array([forward(ten_crop_listed(x[n : n + 1], size)[:, 0]).mean(axis=0) for n in range(len(x))])


RIGHT = {
    "horizontal_flip": {"fancy-index": flip_by_fancy_index, "columns": flip_by_columns},
    "crop": {"looping": crop_looping, "by-index": crop_by_index},
    "resize_bilinear": {
        "pixel-by-pixel": resize_pixel_by_pixel, "matrices": resize_by_matrices, "float32": resize_in_float32,
    },
    "adjust_brightness": {"looping": brightness_looping, "masking": brightness_masking},
    "adjust_contrast": {"looping": contrast_looping, "flat": contrast_flat},
    "pca_lighting": {"einsum": lighting_einsum, "by-axes": lighting_by_axes},
    "affine_warp": {"framed": warp_on_a_frame, "pixel-by-pixel": warp_pixel_by_pixel},
    "ten_crop": {"listed": ten_crop_listed, "mirrored-places": ten_crop_from_mirrored_places},
    "random_flip": {"binomial": random_flip_binomial, "choice": random_flip_choice},
    "random_crop": {"vectorised": random_crop_vectorised, "floored": random_crop_floored},
    "random_resized_crop": {"looping": random_resized_crop_looping, "choice": random_resized_crop_by_choice},
    "color_jitter": {"vectorised": jitter_vectorised, "looping": jitter_looping},
    "random_affine": {"homogeneous": random_affine_homogeneous, "inverses": random_affine_by_inverses},
    "cutout": {"masked": cutout_masked, "flat-place": cutout_by_flat_place},
    "mixup": {
        "vectorised": mixup_vectorised, "by-example": mixup_by_example, "by-partner": mixup_counting_the_partner,
    },
    "predict_multi_crop": {
        "at-once": multi_crop_at_once, "running": multi_crop_running, "image-by-image": multi_crop_image_by_image,
    },
}  # fmt: skip

# --- wrong ----------------------------------------------------------------------------------------------------------


def resize_averaging_four(x, size):
    """The plain mean of the four neighbours."""
    h, w = x.shape[2:]

    def two(length):
        p = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = p.astype(int)
        return low, np.minimum(low + 1, length - 1)

    (r0, r1), (c0, c1) = two(h), two(w)
    return (x[:, :, r0][..., c0] + x[:, :, r0][..., c1] + x[:, :, r1][..., c0] + x[:, :, r1][..., c1]) / 4


def resize_smoothly(x, size):
    """Cosine instead of straight lines between two pixels."""
    out = x
    for axis in (2, 3):
        length = x.shape[axis]
        p = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = p.astype(int)
        share = (1 - np.cos(np.pi * (p - low))) / 2
        share = share[:, None] if axis == 2 else share
        out = np.take(out, low, axis) * (1 - share) + np.take(out, np.minimum(low + 1, length - 1), axis) * share
    return out


def resize_rows_only(x, size):
    w = x.shape[3]
    return resize_by_matrices(x, size)[:, :, :, np.arange(size) * w // size % size]


def warp_mirrored_border(x, matrix):
    n, c, h, w = x.shape
    pad = 3 * max(h, w)
    wide = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="reflect")
    scaled = warp_on_a_frame(wide, matrix)
    return scaled[:, :, pad : pad + h, pad : pad + w]


def warp_last_row_lost(x, matrix):
    """Neighbours in the last row and column count as outside."""
    cut = x.copy()
    cut[:, :, -1] = 0
    cut[:, :, :, -1] = 0
    return warp_on_a_frame(cut, matrix)


def warp_clipped(x, matrix):
    return np.clip(warp_on_a_frame(x, matrix), 0, 1)


def ten_crop_axes_swapped(x, size):
    return ten_crop_listed(x, size).swapaxes(0, 1)


def ten_crop_centre_off(x, size):
    crops = ten_crop_listed(x, size)
    t, k = max((x.shape[2] - size) // 2 - 1, 0), (x.shape[3] - size) // 2
    crops[4] = x[:, :, t : t + size, k : k + size]
    return crops


def random_flip_alternating(x, rng, p=0.5):
    first = int(rng.integers(2))
    return flip_by_fancy_index(x, (np.arange(len(x)) + first) % 2 == 0 if 0 < p < 1 else np.full(len(x), p == 1))


def random_flip_sticky(x, rng, p=0.5):
    """Neighbours come in pairs."""
    return flip_by_fancy_index(x, np.repeat(rng.random((len(x) + 1) // 2) < p, 2)[: len(x)])


def random_flip_row_by_row(x, rng, p=0.5):
    which = rng.random(x.shape[:3]) < p
    return np.where(which[..., None], x[..., ::-1], x)


def random_crop_in_the_middle(x, size, padding, rng):
    """Places around the centre come up more often: the mean of two draws."""
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    h, w = (length - size for length in padded.shape[2:])
    top = (rng.integers(0, h + 1, len(x)) + rng.integers(0, h + 1, len(x))) // 2
    left = (rng.integers(0, w + 1, len(x)) + rng.integers(0, w + 1, len(x))) // 2
    return crop_by_index(padded, top, left, size)


def random_crop_reflecting(x, size, padding, rng):
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], mode="reflect")
    h, w = padded.shape[2:]
    top, left = rng.integers(0, h - size + 1, len(x)), rng.integers(0, w - size + 1, len(x))
    return crop_by_index(padded, top, left, size)


def random_crop_shuffling(x, size, padding, rng):
    return random_crop_vectorised(x[rng.permutation(len(x))], size, padding, rng)


def random_crop_mirroring(x, size, padding, rng):
    out = random_crop_vectorised(x, size, padding, rng)
    return np.where((rng.random(len(x)) < 0.5)[:, None, None, None], out[..., ::-1], out)


def random_resized_crop_not_square(x, size, scale, rng):
    """The largest window of the image's own shape."""
    out = []
    for image in x:
        h, w = image.shape[1:]
        share = np.sqrt(rng.uniform(*scale))
        a, b = max(round(share * h), 1), max(round(share * w), 1)
        top, left = rng.integers(h - a + 1), rng.integers(w - b + 1)
        out.append(resize_by_matrices(image[None, :, top : top + a, left : left + b], size)[0])
    return np.array(out)


def random_resized_crop_unresized(x, size, scale, rng):
    return random_crop_vectorised(x, min(size, *x.shape[2:]), 0, rng)


def random_resized_crop_aligned(x, size, scale, rng):
    out = []
    for image in x:
        h, w = image.shape[1:]
        side = max(1, round(np.sqrt(rng.uniform(*scale)) * min(h, w)))
        top, left = rng.integers(h - side + 1), rng.integers(w - side + 1)
        at = np.linspace(0, side - 1, size)
        low = at.astype(int)
        up, a = np.minimum(low + 1, side - 1), at - low
        square = image[:, top : top + side, left : left + side]
        square = square[:, low] * (1 - a[:, None]) + square[:, up] * a[:, None]
        out.append(square[..., low] * (1 - a) + square[..., up] * a)
    return np.array(out)


def jitter_by(draw):
    def jitter(x, brightness, contrast, rng):
        out = []
        for image in x:
            b, c = draw(rng, brightness), draw(rng, contrast)
            out.append(contrast_looping(brightness_looping(image[None], b), c)[0])
        return np.array(out)

    return jitter


def affine_always_growing(x, degrees, translate, scale, shear, rng):
    return random_affine_by_inverses(x, degrees, translate, (1.0, max(scale)), shear, rng)


def affine_without(**off):
    def affine(x, degrees, translate, scale, shear, rng):
        given = {"degrees": degrees, "translate": translate, "scale": scale, "shear": shear} | off
        return random_affine_by_inverses(x, *given.values(), rng)

    return affine


def affine_nearest(x, degrees, translate, scale, shear, rng):
    return np.rint(random_affine_by_inverses(x, degrees, translate, scale, shear, rng))


def cutout_round(x, size, rng):
    n, _, h, w = x.shape
    rows, columns = rng.integers(h, size=n), rng.integers(w, size=n)
    i, j = np.arange(h)[:, None] - rows[:, None, None], np.arange(w) - columns[:, None, None]
    return x * ((i**2 + j**2) > (size / 2) ** 2)[:, None]


def cutout_sometimes(x, size, rng):
    return np.where((rng.random(len(x)) < 0.5)[:, None, None, None], cutout_by_flat_place(x, size, rng), x)


def cutout_noisy(x, size, rng):
    out = cutout_by_flat_place(x, size, rng)
    return np.where(out == 0, rng.standard_normal(x.shape), out)


def cutout_pushed_inside(x, size, rng):
    out = x.copy()
    for image in out:
        top, left = (int(np.clip(rng.integers(k) - size // 2, 0, k - size)) for k in x.shape[2:])
        image[:, top : top + size, left : left + size] = 0
    return out


def mixup_per_pixel(x, y_onehot, alpha, rng):
    order, lam = rng.permutation(len(x)), rng.beta(alpha, alpha, x.shape)
    weight = lam.mean(axis=(1, 2, 3))[:, None]
    return lam * x + (1 - lam) * x[order], weight * y_onehot + (1 - weight) * y_onehot[order]


def mixup_three(x, y_onehot, alpha, rng):
    w = rng.dirichlet([alpha] * 3)
    first, second = rng.permutation(len(x)), rng.permutation(len(x))
    return (
        w[0] * x + w[1] * x[first] + w[2] * x[second],
        w[0] * y_onehot + w[1] * y_onehot[first] + w[2] * y_onehot[second],
    )


def mixup_with(order_of, lam_of=lambda rng, alpha: rng.beta(alpha, alpha)):
    def mix(x, y_onehot, alpha, rng):
        order, lam = order_of(rng, len(x)), lam_of(rng, alpha)
        return lam * x + (1 - lam) * x[order], lam * y_onehot + (1 - lam) * y_onehot[order]

    return mix


def mixup_hard_labels(x, y_onehot, alpha, rng):
    mixed, labels = mixup_vectorised(x, y_onehot, alpha, rng)
    return mixed, np.eye(y_onehot.shape[1])[labels.argmax(axis=1)]


def multi_crop_weighted(forward, x, size):
    p = np.stack([forward(crops) for crops in ten_crop_listed(x, size)])
    weights = np.array([1, 1, 1, 1, 2, 1, 1, 1, 1, 2]) / 12
    return np.tensordot(weights, p, 1)


def multi_crop_median(forward, x, size):
    return np.median([forward(crops) for crops in ten_crop_listed(x, size)], axis=0)


def multi_crop_first_and_last(forward, x, size):
    crops = ten_crop_listed(x, size)
    return (forward(crops[0]) + forward(crops[-1])) / 2


def on_the_first_image(function):
    return lambda x, *given: function(np.repeat(x[:1], len(x), axis=0), *given)


def jitter_with_negative_contrast(x, brightness, contrast, rng):
    """No factor of brightness is below 0; one of contrast may be."""
    b = rng.uniform(max(0, 1 - brightness), 1 + brightness, (len(x), 1, 1, 1))
    c = rng.uniform(1 - contrast, 1 + contrast, (len(x), 1, 1, 1))
    bright = np.minimum(b * x, 1)
    grey = bright.mean(axis=(1, 2, 3), keepdims=True)
    return np.clip(grey + c * (bright - grey), 0, 1)


def resize_between_neighbours(x, size):
    """Needs a pixel to the right and one below."""
    for axis in (2, 3):
        length = x.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        left = np.maximum(np.minimum(place.astype(int), length - 2), 0)
        share = (place - left).reshape((-1, 1) if axis == 2 else (-1,))
        x = (1 - share) * np.take(x, left, axis) + share * np.take(x, left + 1, axis)
    return x


WRONG = {
    "horizontal_flip": {
        "last-column-kept": lambda x, which: np.concatenate(
            [flip_by_fancy_index(x[..., :-1], which), x[..., -1:]], axis=3
        ),
        "negated": lambda x, which: np.where(which[:, None, None, None], -x, x),
        "rolled": lambda x, which: np.where(which[:, None, None, None], np.roll(x[..., ::-1], 1, axis=3), x),
        "chosen-only": lambda x, which: x[which][..., ::-1],
    },
    "crop": {
        "sorted-places": lambda x, top, left, size: crop_looping(x, np.sort(top), left, size),
        "mirrored": lambda x, top, left, size: crop_looping(x, top, left, size)[..., ::-1],
        "first-channel": lambda x, top, left, size: np.repeat(crop_looping(x, top, left, size)[:, :1], x.shape[1], 1),
        "upper-limit-is-size": lambda x, top, left, size: np.stack(
            [image[:, t:size, k:size] for image, t, k in zip(x, top, left, strict=True)]
        ),
    },
    "resize_bilinear": {
        "mean-of-four": resize_averaging_four, "smooth-steps": resize_smoothly, "columns-nearest": resize_rows_only,
        "two-pixels-at-least": resize_between_neighbours,
        "keeps-the-mean": lambda x, size: resize_by_matrices(x, size)
        + (x.mean() - resize_by_matrices(x, size).mean()),
    },
    "adjust_brightness": {
        "squared-factor": lambda x, factor: brightness_looping(x, np.square(factor)),
        "clipped-above-one-half": lambda x, factor: np.minimum(brightness_looping(x, factor), 0.5),
        "factor-of-the-neighbour": lambda x, factor: brightness_looping(x, np.roll(factor, 1)),
        "mean-factor": lambda x, factor: brightness_looping(x, np.mean(factor)),
    },
    "adjust_contrast": {
        "around-the-largest": lambda x, factor: np.clip(x.max() + np.reshape(factor, (-1, 1, 1, 1)) * (x - x.max()), 0, 1),
        "mean-of-each-row": lambda x, factor: np.clip(
            x.mean(3, keepdims=True) + np.reshape(factor, (-1, 1, 1, 1)) * (x - x.mean(3, keepdims=True)), 0, 1
        ),
        "mean-factor": lambda x, factor: contrast_looping(x, float(np.mean(factor))),
        "clipped-from-below-only": lambda x, factor: np.maximum(
            contrast_looping(x / 10, factor) * 10, 0
        ),
    },
    "pca_lighting": {
        "squared-eigenvalues": lambda x, a, v, p: lighting_einsum(x, a, v**2, p),
        "first-axis-only": lambda x, a, v, p: lighting_einsum(x, a * [1, 0, 0], v, p),
        "colours-reversed": lambda x, a, v, p: lighting_einsum(x, a, v, p[::-1]),
        "normalised-alphas": lambda x, a, v, p: lighting_einsum(x, a / np.linalg.norm(a, axis=1, keepdims=True), v, p),
    },
    "affine_warp": {
        "mirrored-border": warp_mirrored_border, "last-row-lost": warp_last_row_lost, "clipped": warp_clipped,
        "without-shift": lambda x, m: warp_on_a_frame(x, m * [1, 1, 0]),
        "shift-rounded": lambda x, m: warp_on_a_frame(x, np.concatenate([m[:, :, :2], np.rint(m[:, :, 2:])], axis=2)),
    },
    "ten_crop": {
        "axes-swapped": ten_crop_axes_swapped, "centre-one-up": ten_crop_centre_off,
        "mirrored-first": lambda x, size: np.roll(ten_crop_listed(x, size), 5, axis=0),
        "five-crops": lambda x, size: ten_crop_listed(x, size)[:5],
        "batch-mirrored": lambda x, size: np.concatenate(
            [ten_crop_listed(x, size)[:5], ten_crop_listed(x[::-1], size)[5:]]
        ),
    },
    "random_flip": {
        "alternating": random_flip_alternating, "in-pairs": random_flip_sticky, "row-by-row": random_flip_row_by_row,
        "never": lambda x, rng, p=0.5: x.copy(),
        "default-of-0.55": lambda x, rng, p=0.55: random_flip_binomial(x, rng, p),
        "by-the-root-of-p": lambda x, rng, p=0.5: random_flip_binomial(x, rng, p**2),
        "shuffled-too": lambda x, rng, p=0.5: random_flip_binomial(x, rng, p)[rng.permutation(len(x))],
    },
    "random_crop": {
        "middle-preferred": random_crop_in_the_middle, "reflecting": random_crop_reflecting,
        "shuffling": random_crop_shuffling, "mirroring": random_crop_mirroring,
        "padded-on-one-side": lambda x, size, padding, rng: random_crop_vectorised(
            np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding))), size, 0, rng
        ),
        "not-padded": lambda x, size, padding, rng: random_crop_vectorised(
            x, min(size, *x.shape[2:]), 0, rng
        ),
    },
    "random_resized_crop": {
        "first-image-for-all": on_the_first_image(random_resized_crop_looping),
        "not-square": random_resized_crop_not_square, "not-resized": random_resized_crop_unresized,
        "corners-aligned": random_resized_crop_aligned,
        "upper-limit-only": lambda x, size, scale, rng: random_resized_crop_looping(x, size, (scale[1], scale[1]), rng),
        "from-nothing": lambda x, size, scale, rng: random_resized_crop_looping(x, size, (0.0, scale[1]), rng),
        "mirrored": lambda x, size, scale, rng: random_resized_crop_looping(x, size, scale, rng)[..., ::-1],
    },
    "color_jitter": {
        "two-factors-only": jitter_by(lambda rng, s: rng.choice([max(0, 1 - s), 1 + s])),
        "logarithmic": jitter_by(lambda rng, s: (1 + s) ** rng.uniform(-1, 1)),
        "triangular": jitter_by(lambda rng, s: rng.triangular(max(0, 1 - s), 1, 1 + s)),
        "half-strength": jitter_by(lambda rng, s: rng.uniform(max(0, 1 - s / 2), 1 + s / 2)),
        "contrast-below-zero": jitter_with_negative_contrast,
        "unchanged": lambda x, brightness, contrast, rng: x.copy(),
    },
    "random_affine": {
        "first-image-for-all": on_the_first_image(random_affine_homogeneous),
        "images-in-reverse-order": lambda x, *given: random_affine_homogeneous(x[::-1], *given),
        "always-growing": affine_always_growing, "nearest": affine_nearest,
        "never-turned": affine_without(degrees=0.0), "never-shifted": affine_without(translate=0.0),
        "never-scaled": affine_without(scale=(1.0, 1.0)), "never-sheared": affine_without(shear=0.0),
    },
    "cutout": {
        "round": cutout_round, "sometimes": cutout_sometimes, "noisy": cutout_noisy, "pushed-inside": cutout_pushed_inside,
        "twice": lambda x, size, rng: cutout_by_flat_place(cutout_by_flat_place(x, size, rng), size, rng),
        "never": lambda x, size, rng: x.copy(),
    },
    "mixup": {
        "per-pixel": mixup_per_pixel, "three": mixup_three, "hard-labels": mixup_hard_labels,
        "neighbours": mixup_with(lambda rng, n: np.roll(np.arange(n), 1)),
        "itself": mixup_with(lambda rng, n: np.arange(n)),
        "triangular": mixup_with(lambda rng, n: rng.permutation(n), lambda rng, alpha: rng.triangular(0, 0.5, 1)),
        "fixed-alpha": mixup_with(lambda rng, n: rng.permutation(n), lambda rng, alpha: rng.beta(1.0, 1.0)),
    },
    "predict_multi_crop": {
        "centre-weighs-double": multi_crop_weighted, "median": multi_crop_median, "two-crops": multi_crop_first_and_last,
        "in-reverse": lambda forward, x, size: multi_crop_running(forward, x, size)[::-1],
    },
}  # fmt: skip

DEFECTS: dict[tuple[str, str], str] = {}
