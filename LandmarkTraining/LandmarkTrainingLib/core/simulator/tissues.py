"""Tissue classes of the label maps, and random MR contrasts for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: FreeSurfer label numbers of each tissue class; left and right of a structure look alike.
#: Classes 0 background, 1 CSF, 2 white, 3 grey matter, 4/5 cerebellar white/grey, 6 thalamus, 7 putamen and caudate,
#: 8 pallidum, 9 ventral DC, 10 lesion, 11 vessels, 12 choroid-like, 13 brain stem, then extracerebral.
CLASS_LABELS: tuple[tuple[int, ...], ...] = (
    (0,),
    (4, 43, 5, 44, 14, 15, 24, 72),
    (2, 41, 85),
    (3, 42, 17, 53, 18, 54),
    (7, 46),
    (8, 47),
    (10, 49),
    (11, 50, 12, 51, 26, 58),
    (13, 52),
    (28, 60),
    (25, 57, 77, 80),
    (30, 62),
    (136, 163, 137, 164),
    (16,),
    (502,),
    (506,),
    (507,),
    (508,),
    (509,),
    (511,),
    (512,),
    (514,),
    (515,),
    (516,),
    (530,),
)
CLASSES = len(CLASS_LABELS)
LARGEST_LABEL = 1023

#: Grey values (0-255) per class: mean and spread of T1-weighted heads as in SynthSeg's published
#: priors (rounded), and typical ones of T2-weighted heads.
T1_LIKE = np.array(
    [7, 44, 160, 96, 136, 88, 130, 124, 152, 143, 116, 87, 60, 130, 126, 18, 94, 117, 70, 114, 68, 48, 30, 94, 144.0]
)
T1_SD = np.array([5, 26, 16, 19, 15, 17, 20, 14, 9, 21, 19, 17, 24, 18, 60, 14, 49, 65, 25, 75, 36, 20, 22, 43, 45.0])
T2_LIKE = np.array(
    [3, 220, 80, 115, 80, 110, 90, 85, 65, 85, 170, 60, 150, 85, 90, 225, 90, 90, 60, 190, 110, 120, 30, 130, 90.0]
)
EXTRACEREBRAL = np.arange(14, CLASSES)
#: White and grey matter: the contents of a box around the brain. The brain stem continues into the neck.
CEREBRUM_AND_CEREBELLUM = np.arange(2, 6)
DEEP_GREY = np.array([6, 7, 8, 9, 13])


def tissue_lookup() -> np.ndarray:
    """(LARGEST_LABEL + 1,) uint8: label number -> tissue class; unknown labels count as soft tissue (507)."""
    soft_tissue = next(c for c, labels in enumerate(CLASS_LABELS) if 507 in labels)
    lookup = np.full(LARGEST_LABEL + 1, soft_tissue, np.uint8)
    for tissue, labels in enumerate(CLASS_LABELS):
        lookup[list(labels)] = tissue
    return lookup


@dataclass(frozen=True, eq=False)
class Contrast:
    """Mean and standard deviation of each tissue's signal, (CLASSES,) each, in grey values about 0-255.

    ``single_shot``: of a single-shot sequence, whose signal decays while k-space is read.
    """

    mean: np.ndarray
    sd: np.ndarray
    single_shot: bool = False


def random_contrast(rng: np.random.Generator) -> Contrast:
    """A contrast: 35 % any (domain randomisation), 40 % T1-like, 25 % T2-like, all jittered."""
    kind = rng.random()
    if kind < 0.35:
        mean, sd = _any_contrast(rng), rng.uniform(2, 22, CLASSES)
        sd[EXTRACEREBRAL] *= rng.uniform(1, 2.5)
    elif kind < 0.75:
        mean, sd = _t1_like(rng), T1_SD * rng.uniform(0.5, 1.3, CLASSES)
    else:
        mean, sd = _t2_like(rng), rng.uniform(3, 22, CLASSES)
        sd[EXTRACEREBRAL] *= rng.uniform(1, 2.5)
    mean[0] = rng.uniform(0, 10) if rng.random() < 0.8 else min(mean[0], 20)
    sd[0] = rng.uniform(0, 4)
    return Contrast(np.clip(mean, 0, 400), np.clip(sd, 0, 70))


def _any_contrast(rng: np.random.Generator) -> np.ndarray:
    mean = rng.uniform(5, 250, CLASSES)
    if rng.random() < 0.7:  # the cerebellum mostly looks like the cerebrum
        mean[4], mean[5] = mean[2] + rng.normal(0, 10), mean[3] + rng.normal(0, 10)
    if rng.random() < 0.6:  # deep grey lies between white and grey matter
        mean[DEEP_GREY] = mean[2] + (mean[3] - mean[2]) * rng.uniform(0, 1, len(DEEP_GREY))
    return mean


def _t1_like(rng: np.random.Generator) -> np.ndarray:
    mean = T1_LIKE * np.exp(rng.normal(0, 0.15, CLASSES))
    brain = slice(2, 14)
    mean[brain] = mean[3] + (mean[brain] - mean[3]) * rng.uniform(0.4, 1.1)  # weak to strong T1 weighting
    return _jitter_extracerebral(rng, mean)


def _t2_like(rng: np.random.Generator) -> np.ndarray:
    mean = T2_LIKE * np.exp(rng.normal(0, 0.2, CLASSES))
    suppressed = rng.uniform(0, 1)  # 1: T2 with bright CSF, 0: FLAIR- or PD-like
    mean[1] = mean[1] * suppressed + (1 - suppressed) * rng.uniform(20, 220)
    return _jitter_extracerebral(rng, mean)


def _jitter_extracerebral(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """Fat may be bright, dark (fat-suppressed) or between: scale each extracerebral class half of the time."""
    if rng.random() < 0.5:
        mean[EXTRACEREBRAL] *= rng.uniform(0.4, 2.2, len(EXTRACEREBRAL))
    if rng.random() < 0.15:
        mean[[16, 19, 23]] *= rng.uniform(0.1, 0.4)
    return mean
