"""Assignment 07, regularization and dropout: penalties on the weights, and noise that is averaged out at test time.

`p` is the probability to KEEP, `mode` is "train" or "test". What is random is judged by properties that hold however the
numbers are drawn: exact ones where there are any (what a kept entry is multiplied by), shares of many draws elsewhere.
Right answers are rejected with probability below 1e-9 an exercise: a share is judged at 1e-10, an exact property that
could fail by chance (two rows with one mask) fails with probability below 1e-11.
"""

from autograder.exercises.regularization.dropconnect import DROPCONNECT_BACKWARD, DROPCONNECT_FORWARD
from autograder.exercises.regularization.dropout import DROPOUT_BACKWARD, DROPOUT_FORWARD, VANILLA_DROPOUT_FORWARD
from autograder.exercises.regularization.fractional_pooling import (
    FRACTIONAL_MAX_POOL_BACKWARD,
    FRACTIONAL_MAX_POOL_FORWARD,
    FRACTIONAL_POOL_REGIONS,
)
from autograder.exercises.regularization.gaussian_noise import GAUSSIAN_NOISE_BACKWARD, GAUSSIAN_NOISE_FORWARD
from autograder.exercises.regularization.marginalization import PREDICT_MARGINALIZED
from autograder.exercises.regularization.penalties import ELASTIC_NET_PENALTY, L1_PENALTY, L2_PENALTY
from autograder.exercises.regularization.stochastic_depth import STOCHASTIC_DEPTH_BACKWARD, STOCHASTIC_DEPTH_FORWARD

EXERCISES = (
    L2_PENALTY,
    L1_PENALTY,
    ELASTIC_NET_PENALTY,
    DROPOUT_FORWARD,
    DROPOUT_BACKWARD,
    VANILLA_DROPOUT_FORWARD,
    DROPCONNECT_FORWARD,
    DROPCONNECT_BACKWARD,
    GAUSSIAN_NOISE_FORWARD,
    GAUSSIAN_NOISE_BACKWARD,
    STOCHASTIC_DEPTH_FORWARD,
    STOCHASTIC_DEPTH_BACKWARD,
    FRACTIONAL_POOL_REGIONS,
    FRACTIONAL_MAX_POOL_FORWARD,
    FRACTIONAL_MAX_POOL_BACKWARD,
    PREDICT_MARGINALIZED,
)
