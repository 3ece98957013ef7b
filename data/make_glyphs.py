"""Makes data/glyphs-16x16.npz, the fixed set behind nnlab.glyphs_small(), and writes its checksum to data/SHA256SUMS.

    python data/make_glyphs.py

Rendering does not depend on a font library, but NumPy may change its random numbers one day; so the file itself ships.
"""

import numpy as np

from nnlab.datasets import CHARACTERS, glyphs
from nnlab.datasets.files import note_checksum
from nnlab.datasets.lettering import SMALL

PER_CLASS = {"train": 20, "val": 10, "test": 10}


def main() -> None:
    train, val, test = (number * len(CHARACTERS) for number in PER_CLASS.values())
    data = glyphs(train + val + test, seed=16, noise=0.06, validation=val, test=test, standardize=False)
    arrays: dict[str, np.ndarray] = {"classes": np.array(data.classes)}
    for part in PER_CLASS:
        arrays[f"x_{part}"] = np.rint(15 * getattr(data, f"x_{part}")).astype(np.uint8)  # 16 levels: half the size
        arrays[f"y_{part}"] = getattr(data, f"y_{part}").astype(np.uint8)
    np.savez_compressed(SMALL, allow_pickle=False, **arrays)
    note_checksum(SMALL)
    print(f"{SMALL.name}: {train + val + test} images, {SMALL.stat().st_size} bytes")


if __name__ == "__main__":
    main()
