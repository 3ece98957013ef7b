"""The laboratory of the course's experiments: small NumPy networks, a training loop, data and pictures.

>>> net = mlp([64, 100, 100, 10], rng=0)
>>> history = train(net, digits(), epochs=10, learning_rate=0.05)
"""

import os

from threadpoolctl import threadpool_limits

from nnlab import norms as norms
from nnlab.datasets import (
    PHOTO_NAMES,
    Data,
    DataError,
    capstone,
    cifar10,
    digits,
    glyphs,
    glyphs_small,
    mnist,
    photos,
    textures,
)
from nnlab.layers import Affine, Conv2d, Flatten, GlobalAveragePool, Layer, MaxPool2d, ReLU, Tanh
from nnlab.network import Sequential, mlp, small_convnet, softmax_loss
from nnlab.norm import Norm
from nnlab.seeds import Summary, repeat, standard_error, sweep
from nnlab.training import History, minibatches, train

__all__ = [
    "PHOTO_NAMES",
    "Affine",
    "Conv2d",
    "Data",
    "DataError",
    "Flatten",
    "GlobalAveragePool",
    "History",
    "Layer",
    "MaxPool2d",
    "Norm",
    "ReLU",
    "Sequential",
    "Summary",
    "Tanh",
    "capstone",
    "cifar10",
    "digits",
    "glyphs",
    "glyphs_small",
    "minibatches",
    "mlp",
    "mnist",
    "norms",
    "photos",
    "repeat",
    "small_convnet",
    "softmax_loss",
    "standard_error",
    "sweep",
    "textures",
    "train",
]

# The nets of this course are small: a second BLAS thread slows them down, a lot when the machine does something else too.
threadpool_limits(int(os.environ.get("NNLAB_BLAS_THREADS", "1")), user_api="blas")
