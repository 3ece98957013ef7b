"""Letters and digits, drawn from the outlines of the DejaVu fonts that matplotlib ships and then distorted.

The outlines are filled here, with NumPy, rather than by a font library: so the images don't depend on its version.
"""

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlab.datasets.drawing import Floats, drawn_data, painted
from nnlab.datasets.files import DATA, verified
from nnlab.datasets.parts import Bytes, Data, Part, from_pixels
from nnlab.network import Labels

CHARACTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # as on number plates without I and O, which look like 1 and 0
FACES = (
    "Sans",
    "Sans-Bold",
    "Sans-Oblique",
    "Sans-BoldOblique",
    "SansMono",
    "SansMono-Bold",
    "SansMono-Oblique",
    "SansMono-BoldOblique",
    "Serif",
    "Serif-Bold",
    "Serif-Italic",
    "Serif-BoldItalic",
)
SMALL = DATA / "glyphs-16x16.npz"

_SIDE = 1.2  # of the image, in ems: capitals, 0.73 em high, take three fifths of it
_MIDDLE = 0.365  # in ems above the base line: half the height of a capital


def glyphs(
    count: int = 6000,
    seed: int = 0,
    size: int = 16,
    *,
    characters: Sequence[str] = CHARACTERS,
    faces: Sequence[str] = FACES,
    distortion: float = 1.0,
    noise: float = 0.1,
    colour: bool = False,
    validation: int | float = 0.15,
    test: int | float = 0.15,
    standardize: bool = True,
    dtype: DTypeLike = np.float32,
) -> Data:
    """`count` images of letters and digits, (N, 1, size, size), each class equally often; `seed` fixes them all.

    characters: the classes, in the order of their labels; any that the DejaVu fonts have.
    faces:      drawn with one of these, chosen anew for each image.
    distortion: 1 turns by up to 15°, shears by up to 0.2, scales by 0.8 to 1.25 (and the two sides by 0.9 to 1.1 of
                that), moves by up to a tenth of the side, and fades the ink by up to 0.4; 0 does none of it.
    noise:      standard deviation of the normal noise on pixels in [0, 1].
    colour:     (N, 3, size, size) in two random colours instead of white on black.
    validation, test: how many of the images, or which share of them. Training, validation and test images come from
                independent streams, so a test set of a given number does not depend on `count`.
    standardize: less the training pixels' mean, over their standard deviation; otherwise pixels in [0, 1].

    Raises ValueError for a character or a face that the fonts lack. Source: drawn by this function; the DejaVu fonts
    (version 2.37) come with matplotlib.
    """
    masters = _masters(tuple(faces), tuple(characters), size)

    def draw(labels: Labels, rng: np.random.Generator) -> Bytes:
        which = rng.integers(len(faces), size=len(labels)) * len(characters) + labels
        matrices, shifts = _distortions(len(labels), distortion, rng)
        mask = _warped(masters, which, matrices, shifts, size)
        mask *= 1 - rng.uniform(0, 0.4, (len(labels), 1, 1)).astype(np.float32) * min(distortion, 1)
        return painted(mask, noise, colour, rng)

    return drawn_data(draw, count, seed, size, validation, test, "glyphs", list(characters), standardize, dtype)


def glyphs_small(standardize: bool = True, dtype: DTypeLike = np.float32) -> Data:
    """The set that ships in `data/`: 1360 images of 34 letters and digits, (N, 1, 16, 16), the same on every machine;
    20 of each class to train on, 10 to validate, 10 to test.

    Made by `data/make_glyphs.py` with `glyphs`; the grey levels are 0..15. Raises DataError if the file is missing or
    does not have its checksum.
    """
    with np.load(verified(SMALL), allow_pickle=False) as file:
        parts: list[Part] = [
            (file[f"x_{part}"] * np.uint8(17), file[f"y_{part}"].astype(np.int64)) for part in ("train", "val", "test")
        ]
        classes = [str(character) for character in file["classes"]]
    return from_pixels(parts, "glyphs_small", classes, standardize, dtype)


def _distortions(count: int, strength: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Random maps from the upright glyph to the image: matrices (count, 2, 2) and shifts (count, 2), as shares of the
    image's side."""
    angle, shear, zoom, aspect = (strength * rng.uniform(-1, 1, (4, count)).T * (np.pi / 12, 0.2, 0.223, 0.1)).T
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones(count), np.zeros(count)
    rotation = np.array([[cos, -sin], [sin, cos]]).transpose(2, 0, 1)
    slant = np.array([[one, shear], [zero, one]]).transpose(2, 0, 1)
    stretch = np.array([[np.exp(zoom + aspect), zero], [zero, np.exp(zoom - aspect)]]).transpose(2, 0, 1)
    return rotation @ slant @ stretch, strength * rng.uniform(-0.1, 0.1, (count, 2))


def _warped(masters: Floats, which: Labels, matrices: Floats, shifts: Floats, size: int) -> Floats:
    """Masters (M, L, L) under affine maps, (N, size, size): for each pixel, where its middle comes from, bilinear."""
    lattice = masters.shape[1]
    middle = (np.arange(size) + 0.5) / size - 0.5
    image_xy = np.stack([np.tile(middle, size), np.repeat(middle, size)])  # (2, size²)
    back = np.linalg.inv(matrices)
    flat = masters.ravel()
    out = np.empty((len(which), size * size), np.float32)
    step = max(1, 2**18 // size**2)  # images at a time, so that the work stays in the processor's cache
    for start in range(0, len(which), step):
        part = slice(start, start + step)
        source = (back[part] @ (image_xy - shifts[part, :, None]) + 0.5) * (lattice - 1)  # (n, 2, size²)
        np.clip(source, 0, lattice - 1.001, out=source)
        corner = source.astype(np.int32)
        right, down = (source - corner).astype(np.float32).transpose(1, 0, 2)
        at = (which[part, None] * lattice + corner[:, 1]) * lattice + corner[:, 0]
        top = flat[at] + right * (flat[at + 1] - flat[at])
        bottom = flat[at + lattice] + right * (flat[at + lattice + 1] - flat[at + lattice])
        out[part] = top + down * (bottom - top)
    return out.reshape(-1, size, size)


@lru_cache(maxsize=4)
def _masters(faces: tuple[str, ...], characters: tuple[str, ...], size: int) -> Floats:
    """Upright glyphs, face by face and in each character by character, (faces · characters, L, L).

    Entry (y, x) is the share of ink in a square as large as a pixel of the final image, in the middle of which that
    point of the lattice lies; so that taking one value for each pixel later does not alias.
    """
    fine = max(2, 64 // size)  # lattice steps in a pixel; even, or the pixel's middle would fall beside the lattice
    fine += fine % 2
    side = size * fine  # steps in the image
    made = np.empty((len(faces) * len(characters), side + 1, side + 1), np.float32)
    for index in range(len(made)):
        face, character = faces[index // len(characters)], characters[index % len(characters)]
        ink = np.pad(_filled(_edges(face, character), side, max(1, 256 // side)), fine // 2).astype(np.float32)
        for axis in (0, 1):  # the mean over `fine` neighbours
            total = np.insert(ink.cumsum(axis=axis, dtype=np.float64), 0, 0, axis=axis)
            ahead, behind = np.arange(fine, total.shape[axis]), np.arange(total.shape[axis] - fine)
            ink = (total.take(ahead, axis) - total.take(behind, axis)) / fine
        made[index] = ink
    made.flags.writeable = False
    return made


def _filled(edges: Floats, side: int, samples: int) -> Floats:
    """Share of each cell, (side, side), inside of an outline of `edges` (E, 2, 2): start and end, (x, y) in [0, 1].

    Inside is where the outline goes round a point (the non-zero rule). Each cell is looked at in samples² points.
    """
    fine = side * samples
    turns = np.zeros((fine, fine + 1), np.int32)
    (x0, y0), (x1, y1) = (edges * fine).transpose(1, 2, 0)
    # An edge crosses the scan lines y = row + 1/2 from `first` to `last`, and counts for all points to its right.
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    first = np.clip(np.ceil(low - 0.5), 0, fine).astype(int)
    last = np.clip(np.ceil(high - 0.5), 0, fine).astype(int)
    edge = np.repeat(np.arange(len(edges)), last - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    x = x0[edge] + (row + 0.5 - y0[edge]) / (y1 - y0)[edge] * (x1 - x0)[edge]
    column = np.clip(np.ceil(x - 0.5), 0, fine).astype(int)
    np.add.at(turns, (row, column), np.sign(y1 - y0)[edge].astype(np.int32))
    inside = turns.cumsum(axis=1)[:, :fine] != 0
    return inside.reshape(side, samples, side, samples).mean(axis=(1, 3))


@cache
def _edges(face: str, character: str) -> Floats:
    """The outline of an upright glyph as straight edges (E, 2, 2), in the image's coordinates: x to the right and y
    down, in [0, 1], the glyph in the middle and capitals as high as three fifths."""
    import matplotlib
    from matplotlib.font_manager import FontProperties, get_font
    from matplotlib.textpath import TextPath

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    file = folder / f"DejaVu{face}.ttf"
    if not file.is_file():
        raise ValueError(f"there is no face {face!r}; there are {', '.join(FACES)}")
    if len(character) != 1 or get_font(str(file)).get_char_index(ord(character)) == 0:
        raise ValueError(f"the font DejaVu{face} has no character {character!r}")
    if character.isspace() or not character.isprintable():
        raise ValueError(f"the character {character!r} leaves no ink")
    path = TextPath((0, 0), character, size=1, prop=FontProperties(fname=str(file)), usetex=False)
    contours: list[list[Floats]] = []
    segments: Iterable[Any] = path.iter_bezier()
    for segment, code in segments:
        if code == path.MOVETO:
            contours.append([segment.control_points[-1]])
        else:
            pieces = 1 if len(segment.control_points) == 2 else 6  # a line, or a curve
            contours[-1].extend(segment(np.arange(1, pieces + 1) / pieces))
    loops = [np.array(contour) for contour in contours if len(contour) > 2]
    edges = np.concatenate([np.stack([loop, np.roll(loop, -1, axis=0)], axis=1) for loop in loops])
    x, y = edges[..., 0], edges[..., 1]
    across = (x - (x.min() + x.max()) / 2) / _SIDE + 0.5
    down = (_MIDDLE - y) / _SIDE + 0.5
    placed = np.stack([across, down], axis=-1)
    return placed[placed[:, 0, 1] != placed[:, 1, 1]]  # level edges cross no scan line
