"""How fast the laboratory's layers are beside PyTorch's on the CPU: same shapes, same float32, same number of threads.

    python benchmarks/layers.py [--threads 1] [--seconds 0.3]

Prints, for a forward and backward pass of each layer and for whole training steps, the best time of many and the ratio
(above 1: slower than PyTorch), then the geometric mean of the ratios.
"""

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

import nnlab
from nnlab import Affine, Conv2d, MaxPool2d, Norm, Sequential, digits, mlp, norms, small_convnet
from nnlab.layers import Layer, channels_first

Work = Callable[[], object]
BATCH_NORM = (norms.batchnorm_forward, norms.batchnorm_backward)
SPATIAL_BATCH_NORM = (norms.spatial_batchnorm_forward, norms.spatial_batchnorm_backward)
LAYER_NORM = (norms.layernorm_forward, norms.layernorm_backward)
INSTANCE_NORM = (norms.instancenorm_forward, norms.instancenorm_backward)
GROUP_NORM = (norms.spatial_groupnorm_forward, norms.spatial_groupnorm_backward)


def best_time(work: Work, seconds: float) -> float:
    """The shortest of many runs, in milliseconds."""
    for _ in range(3):
        work()
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return 1000 * best


def layer_pair(ours: Layer, theirs: nn.Module, shape: tuple[int, ...]) -> tuple[Work, Work]:
    """Forward and backward, with the gradient by the input, of one layer; images come channels-last in memory to both,
    as each library likes them best."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, dtype=np.float32)
    dout = rng.standard_normal(ours.forward(x, "train").shape, dtype=np.float32)
    t, dt = torch.tensor(x, requires_grad=True), torch.tensor(dout)
    if len(shape) == 4:
        x, dout = (channels_first(np.ascontiguousarray(a.transpose(0, 2, 3, 1))) for a in (x, dout))
        theirs = theirs.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        t = t.detach().to(memory_format=torch.channels_last).requires_grad_()
        dt = dt.to(memory_format=torch.channels_last)

    def our_work() -> None:
        ours.forward(x, "train")
        ours.backward(dout)

    def their_work() -> None:
        t.grad = None
        theirs.zero_grad()
        theirs(t).backward(dt)

    return our_work, their_work


def step_pair(ours: Sequential, theirs: nn.Module, flat: bool) -> tuple[Work, Work]:
    """A training step on 100 digits: loss, gradients, SGD with momentum."""
    data = digits().flat if flat else digits()
    x, y = data.x_train[:100].copy(), data.y_train[:100]
    tx, ty = torch.tensor(x), torch.tensor(y)
    if not flat:
        theirs = theirs.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        tx = tx.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=1e-4, momentum=0.9, foreach=True)
    velocity = np.zeros_like(ours.weights)

    def our_work() -> None:
        nonlocal velocity
        ours.loss_and_grads(x, y)
        velocity *= 0.9
        velocity -= 1e-4 * ours.gradient
        ours.weights += velocity

    def their_work() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(tx), ty).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return our_work, their_work


def torch_mlp(norm: Callable[[int], nn.Module] | None) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs in (64, 100, 100, 100):
        layers += [nn.Linear(inputs, 100), *([norm(100)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(100, 10))


def torch_convnet(norm: Callable[[int], nn.Module] | None) -> nn.Module:
    def block(inputs: int, filters: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, filters, 3, padding=1), *([norm(filters)] if norm else []), nn.ReLU()]

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)]
    return nn.Sequential(*block(1, 16), nn.MaxPool2d(2), *block(16, 32), *head)


def group_norm(channels: int) -> Norm:
    return Norm(*GROUP_NORM, channels, G=4)


def cases() -> dict[str, tuple[Work, Work]]:
    image, larger = (100, 16, 8, 8), (32, 32, 16, 16)
    sizes = [64, 100, 100, 100, 100, 10]
    instance = nn.InstanceNorm2d(16, affine=True)
    return {
        "affine 100x100 -> 100": layer_pair(Affine(100, 100), nn.Linear(100, 100), (100, 100)),
        "affine 256x512 -> 256": layer_pair(Affine(512, 256), nn.Linear(512, 256), (256, 512)),
        "conv 3x3, 100x16x8x8 -> 32": layer_pair(Conv2d(16, 32), nn.Conv2d(16, 32, 3, padding=1), image),
        "conv 3x3, 32x32x16x16 -> 32": layer_pair(Conv2d(32, 32), nn.Conv2d(32, 32, 3, padding=1), larger),
        "conv 5x5, 100x16x8x8 -> 16": layer_pair(Conv2d(16, 16, 5), nn.Conv2d(16, 16, 5, padding=2), image),
        "max pool 2, 100x16x8x8": layer_pair(MaxPool2d(2), nn.MaxPool2d(2), image),
        "max pool 2, 32x32x16x16": layer_pair(MaxPool2d(2), nn.MaxPool2d(2), larger),
        "batch norm 100x100": layer_pair(Norm(*BATCH_NORM, 100), nn.BatchNorm1d(100), (100, 100)),
        "layer norm 100x100": layer_pair(Norm(*LAYER_NORM, 100), nn.LayerNorm(100), (100, 100)),
        "batch norm 100x16x8x8": layer_pair(Norm(*SPATIAL_BATCH_NORM, 16), nn.BatchNorm2d(16), image),
        "instance norm 100x16x8x8": layer_pair(Norm(*INSTANCE_NORM, 16), instance, image),
        "group norm (4) 100x16x8x8": layer_pair(group_norm(16), nn.GroupNorm(4, 16), image),
        "step: mlp": step_pair(mlp(sizes, rng=0), torch_mlp(None), True),
        "step: mlp, batch norm": step_pair(mlp(sizes, BATCH_NORM, rng=0), torch_mlp(nn.BatchNorm1d), True),
        "step: mlp, layer norm": step_pair(mlp(sizes, LAYER_NORM, rng=0), torch_mlp(nn.LayerNorm), True),
        "step: convnet": step_pair(small_convnet(rng=0), torch_convnet(None), False),
        "step: convnet, batch norm": step_pair(
            small_convnet(norm=SPATIAL_BATCH_NORM, rng=0), torch_convnet(nn.BatchNorm2d), False
        ),
        "step: convnet, group norm": step_pair(
            small_convnet(norm=group_norm, rng=0), torch_convnet(lambda c: nn.GroupNorm(4, c)), False
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of BLAS and of PyTorch (1)")
    parser.add_argument("--seconds", type=float, default=0.3, help="to measure each side of a case for (0.3)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"float32, {options.threads} thread(s), numpy {np.__version__}, torch {torch.__version__}, {nnlab.__name__}")
    print(f"{'':30}{'nnlab ms':>10}{'torch ms':>10}{'ratio':>8}")
    ratios = []
    with threadpool_limits(options.threads, user_api="blas"):
        for name, (ours, theirs) in cases().items():
            our_time, their_time = best_time(ours, options.seconds), best_time(theirs, options.seconds)
            ratios.append(our_time / their_time)
            print(f"{name:30}{our_time:10.3f}{their_time:10.3f}{ratios[-1]:8.2f}", flush=True)
    print(f"{'geometric mean':50}{np.exp(np.mean(np.log(ratios))):8.2f}")


if __name__ == "__main__":
    main()
