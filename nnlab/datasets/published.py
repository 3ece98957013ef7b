"""MNIST and CIFAR-10, the real ones, read from the files as they are published. Nothing that a file says is executed,
nothing is unpacked to the disk, and no file can take more memory than the real one does."""

import gzip
import io
import os
import pickle
import pickletools
import re
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlab.datasets.fetching import data_directory, fetch
from nnlab.datasets.parts import Bytes, Data, DataError, Part, from_pixels, part_sizes

MNIST_ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST_CHECKSUMS: Mapping[str, str] = MappingProxyType(
    {
        "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    }
)
CIFAR10_ADDRESSES = ("https://www.cs.toronto.edu/~kriz/",)
CIFAR10_CHECKSUMS: Mapping[str, str] = MappingProxyType(
    {"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"}
)
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_BATCH_SIZE = 10_000  # images in each
_BATCH_BYTES = 32 << 20  # a published batch has 31 million: pixels, labels and file names
_ARCHIVE_BYTES = 256 << 20  # of all of it, unpacked; the published one has 186 million


def mnist(
    directory: str | os.PathLike[str] | None = None,
    *,
    train: int | None = None,
    validation: int | float = 5000,
    test: int | None = None,
    seed: int = 0,
    standardize: bool = True,
    dtype: DTypeLike = np.float32,
    base_url: str | None = None,
    checksums: Mapping[str, str] = MNIST_CHECKSUMS,
    progress: bool | None = None,
) -> Data:
    """MNIST's 70,000 handwritten digits, (N, 1, 28, 28); 12 MB are downloaded at the first call.

    `validation` images (a number or a share) of the published 60,000 are set aside at random, with `seed`, and of the
    rest `train` are kept (all of them if None); `test` is the number of the published test images to keep, from the
    first. `standardize` and `dtype` are as for `glyphs`.

    directory: has the four .gz files, or gets them, in its folder `mnist`; if not given, what the environment variable
               NNLAB_DATA says, or `data/downloads`.
    base_url:  another mirror; `checksums`: of its files, "md5:..." or "sha256:...", if they are not the published ones.
    progress:  a progress bar or none; by default only where somebody watches.

    Raises DataError if the files can't be had or are damaged. Source: LeCun, Cortes & Burges 1998.
    """
    folder = data_directory(directory) / "mnist"
    addresses = MNIST_ADDRESSES if base_url is None else (base_url,)
    arrays: list[Bytes] = []
    for name, most in zip(MNIST_CHECKSUMS, (60_000, 60_000, 10_000, 10_000), strict=True):
        file = fetch(name, folder, addresses, checksums[name], 16 << 20, "digits() or glyphs()", progress)
        arrays.append(_read_idx(file, (most, 28, 28) if "images" in name else (most,)))
    parts: list[Part] = []
    for images, labels in (arrays[:2], arrays[2:]):
        if len(images) != len(labels) or labels.max(initial=0) > 9:
            raise DataError(
                f"{folder} has {len(images)} images with {len(labels)} labels up to {labels.max(initial=0)}"
            )
        parts.append((images[:, None], labels.astype(np.int64)))
    classes = [str(digit) for digit in range(10)]
    return _split(parts, "mnist", classes, train, validation, test, seed, standardize, dtype)


def cifar10(
    directory: str | os.PathLike[str] | None = None,
    *,
    train: int | None = None,
    validation: int | float = 5000,
    test: int | None = None,
    seed: int = 0,
    standardize: bool = True,
    dtype: DTypeLike = np.float32,
    base_url: str | None = None,
    checksums: Mapping[str, str] = CIFAR10_CHECKSUMS,
    progress: bool | None = None,
) -> Data:
    """CIFAR-10's 60,000 small colour photos, (N, 3, 32, 32); 170 MB are downloaded at the first call.

    In float32 all of them take 740 MB of memory: `train` and `test` keep fewer. The arguments are those of `mnist`,
    but `cifar-10-python.tar.gz` lies in the directory itself. Raises DataError if the file can't be had or is damaged.
    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
    """
    addresses = CIFAR10_ADDRESSES if base_url is None else (base_url,)
    (name,) = CIFAR10_CHECKSUMS
    folder = data_directory(directory)
    file = fetch(name, folder, addresses, checksums[name], 256 << 20, "textures() or photos()", progress)
    batches = _read_batches(file)
    images, labels = zip(*(batches[batch] for batch in _BATCHES[:-1]), strict=True)
    parts = [(np.concatenate(images), np.concatenate(labels)), batches["test_batch"]]
    return _split(parts, "cifar10", CIFAR10_CLASSES, train, validation, test, seed, standardize, dtype)


def _split(
    published: Sequence[Part],
    name: str,
    classes: Sequence[str],
    train: int | None,
    validation: int | float,
    test: int | None,
    seed: int,
    standardize: bool,
    dtype: DTypeLike,
) -> Data:
    """Validation from the training images, in random order; the test images stay in theirs."""
    (images, labels), (test_images, test_labels) = published
    left, validating, _ = part_sizes(len(images), validation, 0)
    for label, wanted, there in (("train", train, left), ("test", test, len(test_images))):
        if wanted is not None and not 0 < wanted <= there:
            raise ValueError(f"{label}={wanted}: {name} has 1 to {there} such images to give")
    order = np.random.default_rng(seed).permutation(len(images))
    chosen, set_aside = order[validating:][:train], order[:validating]
    parts = [
        (images[chosen], labels[chosen]),
        (images[set_aside], labels[set_aside]),
        (test_images[:test], test_labels[:test]),
    ]
    return from_pixels(parts, name, classes, standardize, dtype)


def _read_idx(file: Path, most: tuple[int, ...]) -> Bytes:
    """An array of unsigned bytes from a packed IDX file (the format is on MNIST's page): the bytes 0, 0, 8 and the number
    of axes, each axis' length as a big-endian 32-bit number, the values. Axes are `most` long, the first may be less."""
    try:
        with gzip.open(file) as opened:
            head = opened.read(4 + 4 * len(most))
            if head[:4] != bytes([0, 0, 8, len(most)]) or len(head) < 4 + 4 * len(most):
                raise DataError(f"{file} is not an IDX file of bytes with {len(most)} axes")
            shape = struct.unpack(f">{len(most)}I", head[4:])
            if shape[0] > most[0] or shape[1:] != most[1:]:
                raise DataError(f"{file} should hold {most} values at most, but says {shape}")
            values = opened.read(prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} can't be unpacked: {error}") from None
    if len(values) != prod(shape):
        raise DataError(f"{file} should have {prod(shape)} values for its shape {shape}, but has {len(values)} or more")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _read_batches(file: Path) -> dict[str, Part]:
    """Name -> (images (N, 3, 32, 32), labels (N,)) of the six batches in a CIFAR-10 archive, which is never unpacked."""
    found: dict[str, Part] = {}
    try:
        with gzip.open(file) as packed:
            bounded: Any = _AtMost(packed, _ARCHIVE_BYTES)
            with tarfile.open(fileobj=bounded, mode="r|", bufsize=1 << 20) as archive:
                for member in archive:
                    name = member.name.rpartition("/")[2]
                    if not member.isfile() or name not in _BATCHES or name in found:
                        continue
                    opened = archive.extractfile(member)
                    if opened is None or member.size > _BATCH_BYTES:
                        raise DataError(f"{file}: {member.name} has {member.size} bytes, more than a batch can have")
                    found[name] = _read_batch(opened.read(), f"{file}: {name}")
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{file} can't be unpacked: {error}") from None
    if missing := [name for name in _BATCHES if name not in found]:
        raise DataError(f"{file} lacks {', '.join(missing)}")
    return found


def _read_batch(content: bytes, where: str) -> Part:
    """A batch is a pickled dictionary: `data`, uint8 (N, 3072), the red, green and blue plane of each image row by row;
    `labels`, a list of N numbers 0..9; and a few names that are not needed."""
    try:
        batch = _unpickled(content)
        images, labels = batch[b"data"].array(), batch[b"labels"]
        if images.ndim != 2 or images.shape[1] != 3072 or not 0 < len(images) <= _BATCH_SIZE:
            raise ValueError(f"its images have the shape {images.shape}")
        if len(labels) != len(images) or not all(type(label) is int and 0 <= label <= 9 for label in labels):
            raise ValueError(f"its labels are not {len(images)} numbers from 0 to 9")
    except Exception as error:  # a file can be wrong in any way at all
        raise DataError(f"{where} is not as published: {str(error) or type(error).__name__}") from None
    return images.reshape(-1, 3, 32, 32), np.array(labels, np.int64)


class _AtMost:
    """A file that gives no more than `left` bytes, however well they were packed."""

    def __init__(self, file: gzip.GzipFile, left: int) -> None:
        self.file, self.left = file, left

    def read(self, size: int) -> bytes:
        got = self.file.read(min(size, self.left + 1))
        self.left -= len(got)
        if self.left < 0:
            raise OSError("it is larger than the published archive")
        return got


class _Recorded:
    """Stands for whatever a pickle wants to call: keeps what it would be called with, and does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> Bytes:
        """The array of bytes that NumPy would have made of it."""
        _, shape, dtype, columns_first, values = self.state
        if dtype.arguments[0] not in (b"u1", "u1"):
            raise ValueError(f"its pixels are of type {dtype.arguments[0]}, not bytes")
        return np.frombuffer(values, np.uint8).reshape(shape, order="F" if columns_first else "C")


_NAMES = {("numpy", "ndarray"), ("numpy", "dtype")} | {
    (f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")
}
_STEPS = re.compile(
    "PROTO|FRAME|STOP|MARK|GLOBAL|STACK_GLOBAL|REDUCE|BUILD|NONE|NEWTRUE|NEWFALSE|BININT|BININT1|BININT2|LONG1|"
    "STRING|BINSTRING|SHORT_BINSTRING|BINBYTES|SHORT_BINBYTES|BINUNICODE|SHORT_BINUNICODE|EMPTY_TUPLE|TUPLE|TUPLE1|"
    "TUPLE2|TUPLE3|EMPTY_LIST|APPEND|APPENDS|EMPTY_DICT|SETITEM|SETITEMS|BINPUT|LONG_BINPUT|MEMOIZE|BINGET|LONG_BINGET"
)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise ValueError(f"it asks for {module}.{name}, which is refused")
        return _Recorded


def _unpickled(content: bytes) -> Any:
    """Dictionaries, lists, numbers, bytes and `_Recorded` arrays from a pickle; ValueError for any other thing.

    No name is ever looked up, so nothing can be called. The steps are read through beforehand, as some of them could
    take much memory: those that data do not need, and places far beyond the number of steps, are refused.
    """
    for step, argument, _ in pickletools.genops(content):
        if not _STEPS.fullmatch(step.name) or (step.name == "LONG_BINPUT" and int(argument or 0) > 8 * _BATCH_SIZE):
            raise ValueError(f"the step {step.name} is refused")
    return _Unpickler(io.BytesIO(content), encoding="bytes").load()
