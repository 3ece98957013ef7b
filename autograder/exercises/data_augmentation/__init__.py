"""Assignment 08, data augmentation: transforms of images by given amounts, by drawn ones, and crops at test time.

Images are (N, C, H, W). What is drawn is read back from images made for it: a ramp tells from where a pixel was fetched, a
single bright pixel which images were mixed. So a claim about chance is judged by places and amounts, never by pixels.
"""

from autograder.exercises.data_augmentation.colour import ADJUST_BRIGHTNESS, ADJUST_CONTRAST, COLOR_JITTER, PCA_LIGHTING
from autograder.exercises.data_augmentation.geometry import (
    AFFINE_WARP,
    CROP,
    HORIZONTAL_FLIP,
    RESIZE_BILINEAR,
    TEN_CROP,
)
from autograder.exercises.data_augmentation.mixing import CUTOUT, MIXUP
from autograder.exercises.data_augmentation.multi_crop import PREDICT_MULTI_CROP
from autograder.exercises.data_augmentation.random_geometry import (
    RANDOM_AFFINE,
    RANDOM_CROP,
    RANDOM_FLIP,
    RANDOM_RESIZED_CROP,
)

EXERCISES = (
    HORIZONTAL_FLIP,
    CROP,
    RESIZE_BILINEAR,
    ADJUST_BRIGHTNESS,
    ADJUST_CONTRAST,
    PCA_LIGHTING,
    AFFINE_WARP,
    TEN_CROP,
    RANDOM_FLIP,
    RANDOM_CROP,
    RANDOM_RESIZED_CROP,
    COLOR_JITTER,
    RANDOM_AFFINE,
    CUTOUT,
    MIXUP,
    PREDICT_MULTI_CROP,
)
