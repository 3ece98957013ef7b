"""The data of the course's experiments.

Always there: `digits` and `photos` (real), `glyphs_small` and `capstone` (fixed sets), `glyphs` and `textures` (drawn, as many as you
like). Downloaded when asked for: `mnist` and `cifar10`. All but `photos` come as `Data`, split in three.
"""

from nnlab.datasets.capstone import capstone
from nnlab.datasets.fetching import data_directory
from nnlab.datasets.lettering import CHARACTERS, FACES, glyphs, glyphs_small
from nnlab.datasets.parts import Data, DataError
from nnlab.datasets.patterns import TEXTURES, textures
from nnlab.datasets.published import CIFAR10_CLASSES, cifar10, mnist
from nnlab.datasets.shipped import PHOTO_NAMES, digits, photos

__all__ = [
    "CHARACTERS",
    "CIFAR10_CLASSES",
    "FACES",
    "PHOTO_NAMES",
    "TEXTURES",
    "Data",
    "DataError",
    "capstone",
    "cifar10",
    "data_directory",
    "digits",
    "glyphs",
    "glyphs_small",
    "mnist",
    "photos",
    "textures",
]
