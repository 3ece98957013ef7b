"""Makes data/pretrained-letters.npz, the network that notebook 09 starts from, and writes its checksum to data/SHA256SUMS.

    python data/make_pretrained.py

Half a minute on one core. The same machine makes the same file again; another one's arithmetic may differ in the last
bits, and after some thousand steps in more, so the file itself ships.
"""

import numpy as np

from nnlab import glyphs, train
from nnlab.datasets.files import note_checksum
from nnlab.transfer import LETTERS, PRETRAINED, SIZE, source_net, state

STEPS = 6000


def main() -> None:
    data = glyphs(26_000, seed=9, size=SIZE, characters=LETTERS, validation=1000, test=1000)
    net = source_net(len(LETTERS), rng=9)
    history = train(
        net, data, steps=STEPS, batch_size=50, rng=9, eval_every=0,
        schedule=lambda t: 0.05 * (1 + np.cos(np.pi * t / STEPS)),
    )  # fmt: skip
    np.savez_compressed(PRETRAINED, allow_pickle=False, **state(net))
    note_checksum(PRETRAINED)
    print(
        f"{PRETRAINED.name}: {PRETRAINED.stat().st_size} bytes, test accuracy {net.accuracy(data.x_test, data.y_test):.3f}"
    )
    print(history)


if __name__ == "__main__":
    main()
