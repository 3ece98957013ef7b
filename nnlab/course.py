"""The course's own functions by the names of the exercises, for whoever wants to put them together in one place."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from nnlab import (
    augmentation,
    checking,
    ensembles,
    norms,
    optimizers,
    regularization,
    schedules,
    second_order,
    transfer,
)

MODULES: tuple[ModuleType, ...] = (
    checking,
    norms,
    optimizers,
    schedules,
    second_order,
    ensembles,
    regularization,
    augmentation,
    transfer,
)


def own_functions() -> dict[str, Callable[..., Any]]:
    """Name to function, from all modules of the laboratory that hold exercises' functions."""
    return {
        name: thing
        for module in MODULES
        for name, thing in vars(module).items()
        if callable(thing) and not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__
    }
