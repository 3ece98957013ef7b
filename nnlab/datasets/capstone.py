"""The images of notebook 10, on which everybody trains under one budget. What is graded on is not among them."""

import numpy as np
from numpy.typing import DTypeLike

from nnlab.datasets.files import DATA, verified
from nnlab.datasets.parts import Data, Part, from_pixels

CAPSTONE = DATA / "capstone-16x16.npz"


def capstone(dtype: DTypeLike = np.float32) -> Data:
    """1000 images of twenty letters and digits to train on and 500 to validate, (N, 1, 16, 16), pixels in [0, 1] as
    `predict` will be given them. The test part is empty: the images to be graded on stay with the grader.

    Made by `data/make_capstone.py` with `glyphs`. Raises DataError if the file is missing or damaged.
    """
    with np.load(verified(CAPSTONE), allow_pickle=False) as file:
        parts: list[Part] = [
            (file[f"x_{part}"] * np.uint8(17), file[f"y_{part}"].astype(np.int64)) for part in ("train", "val")
        ]
        classes = [str(character) for character in file["classes"]]
    nothing = (parts[0][0][:0], parts[0][1][:0])
    return from_pixels([*parts, nothing], "capstone", classes, False, dtype)
