"""Makes the images of notebook 10: those that everybody trains on, and those that `predict` is graded on.

    python data/make_capstone.py             # the shipped sets and the reference's weights, with their checksums
    python data/make_capstone.py --hidden    # your own hidden set, from a seed that nobody knows

The shipped hidden set is in a public repository, labels and all: good for practice. Whoever grades a class makes their own: it
goes to data/hidden/, which git ignores and the grader prefers.
"""

import argparse
import secrets
from pathlib import Path

import numpy as np

from nnlab import Data, capstone, glyphs, minibatches, mlp, norms, optimizers, schedules
from nnlab.augmentation import random_affine
from nnlab.datasets.capstone import CAPSTONE
from nnlab.datasets.files import DATA, note_checksum

CHARACTERS = "0123456789ABCDEFGHJK"
SHIPPED_HIDDEN = DATA / "capstone-hidden.npz"
OWN_HIDDEN = DATA / "hidden" / "10-capstone.npz"
REFERENCE = DATA / "capstone-reference.npz"
TRAIN, VALIDATION, HIDDEN = 1000, 500, 1000
STEPS, BATCH = 4000, 50


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 1, 16, 16) with grey levels 0..15 and their labels (count,), each class equally often."""
    data = glyphs(count, seed, characters=CHARACTERS, validation=0, test=0, standardize=False)
    return np.rint(15 * data.x_train).astype(np.uint8), data.y_train.astype(np.uint8)


def write_hidden(path: Path, seed: int) -> None:
    """A file of hidden images with their labels."""
    images, labels = draw(HIDDEN, seed)
    np.savez_compressed(path, allow_pickle=False, images=images, labels=labels)


def train_reference(data: Data) -> dict[str, np.ndarray]:
    """Weights of a network that is better than the target asks: longer trained than a student's budget allows."""
    rng = np.random.default_rng(10)
    net = mlp([256, 160, 160, len(CHARACTERS)], (norms.batchnorm_forward, norms.batchnorm_backward), rng=10)
    state: dict[str, dict] = {name: {} for name in net.params}
    batches = minibatches(data.x_train, data.y_train, BATCH, rng)
    for t in range(STEPS):
        x, y = next(batches)
        x = random_affine(x, 12, 0.1, (0.85, 1.15), 10, rng).astype(np.float32)
        _, grads = net.loss_and_grads(x.reshape(len(x), -1), y)
        for name, w in net.params.items():
            state[name]["learning_rate"] = schedules.cosine_decay(t, 0.003, STEPS)
            w[...], state[name] = optimizers.adam(w, grads[name], state[name])
    folded = {}
    for number, place in enumerate(index for index, layer in enumerate(net.layers) if "W" in layer.params):
        W, b = net.params[f"{place}.W"], net.params[f"{place}.b"]
        if place + 1 < len(net.layers) and "gamma" in net.layers[place + 1].params:
            norm = net.layers[place + 1]
            factor = norm.params["gamma"] / np.sqrt(norm.param["running_var"] + 1e-5)
            W, b = W * factor, (b - norm.param["running_mean"]) * factor + norm.params["beta"]
        folded |= {f"W{number}": W.astype(np.float16), f"b{number}": b.astype(np.float16)}
    return folded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", action="store_true", help="make your own hidden set")
    if parser.parse_args().hidden:
        OWN_HIDDEN.parent.mkdir(exist_ok=True)
        write_hidden(OWN_HIDDEN, secrets.randbits(60))
        print(f"{OWN_HIDDEN.relative_to(DATA.parent)}: {HIDDEN} images, used for every check of predict from now on")
        return
    x_train, y_train = draw(TRAIN, 101)
    x_val, y_val = draw(VALIDATION, 102)
    np.savez_compressed(
        CAPSTONE, allow_pickle=False, x_train=x_train, y_train=y_train, x_val=x_val, y_val=y_val,
        classes=np.array(list(CHARACTERS)),
    )  # fmt: skip
    write_hidden(SHIPPED_HIDDEN, 103)
    note_checksum(CAPSTONE)
    note_checksum(SHIPPED_HIDDEN)
    np.savez_compressed(REFERENCE, allow_pickle=False, **train_reference(capstone()))
    note_checksum(REFERENCE)
    for path in (CAPSTONE, SHIPPED_HIDDEN, REFERENCE):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
