"""Everything that is asked, one module per assignment, in course order."""

from __future__ import annotations

from autograder.exercise import Course
from autograder.exercises import (
    batch_normalization,
    capstone,
    data_augmentation,
    first_order_optimizers,
    gradient_checking,
    layer_instance_group_normalization,
    learning_rate_schedules,
    model_ensembles,
    regularization,
    second_order_optimization,
    transfer_learning,
)

_MODULES = {
    "00-gradient-checking": gradient_checking,
    "01-batch-normalization": batch_normalization,
    "02-layer-instance-group-normalization": layer_instance_group_normalization,
    "03-first-order-optimizers": first_order_optimizers,
    "04-learning-rate-schedules": learning_rate_schedules,
    "05-second-order-optimization": second_order_optimization,
    "06-model-ensembles": model_ensembles,
    "07-regularization-and-dropout": regularization,
    "08-data-augmentation": data_augmentation,
    "09-transfer-learning": transfer_learning,
    "10-capstone": capstone,
}

COURSE = Course(
    exercises={exercise.name: exercise for module in _MODULES.values() for exercise in module.EXERCISES},
    assignments={name: tuple(exercise.name for exercise in module.EXERCISES) for name, module in _MODULES.items()},
)
"""All exercises by name, and the names of each assignment."""
