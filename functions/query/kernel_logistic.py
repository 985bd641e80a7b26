"""Multinomial logistic regression on a kernel, in numpy: scores(x) = k(x, examples) @ coefficients.

Minimises the summed cross-entropy plus ridge / 2 x the squared norm in the kernel's space. Each step uses one
fixed upper bound of the curvature (half the kernel), so it needs no line search and cannot diverge, with Nesterov's
momentum on top. Source: Boehning, Multinomial logistic regression algorithm, Ann. Inst. Statist. Math. 44 (1992).
"""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
_MOST_STEPS = 200
_TOLERANCE = 1e-3  # largest change of a coefficient, as a part of the largest coefficient
_HELD_OUT_TOLERANCE = 1e-2  # enough to tell which confidences go wrong
_BATCH_CELLS = 4_000_000  # examples x folds x classes worked on at once: 16 MB an array


def softmax(scores: Matrix) -> Matrix:
    """Probabilities along the last axis."""
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), dtype=np.float32)


def fit(kernel: Matrix, labels: npt.NDArray[np.int64], classes: int, ridge: float) -> Matrix:
    """Coefficients, shape (examples, classes). `kernel` is symmetric and positive semidefinite."""
    seen = np.ones((len(labels), 1), dtype=np.float32)
    return _solve(kernel, _curvature_inverse(kernel, ridge), labels, classes, ridge, seen, _TOLERANCE)[:, 0]


def held_out_scores(
    kernel: Matrix, labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], classes: int, ridge: float
) -> Matrix:
    """Scores of each example from a fit that did not see its fold, shape (examples, classes)."""
    inverse = _curvature_inverse(kernel, ridge)
    count = int(folds.max()) + 1
    scores = np.empty((len(labels), classes), dtype=np.float32)
    at_once = max(1, _BATCH_CELLS // (len(labels) * classes))
    for first in range(0, count, at_once):
        batch = np.arange(first, min(first + at_once, count))
        seen = (folds[:, None] != batch[None, :]).astype(np.float32)
        coefficients = _solve(kernel, inverse, labels, classes, ridge, seen, _HELD_OUT_TOLERANCE)
        for position, fold in enumerate(batch):
            rows = folds == fold
            # a row out of sight has no say, though its coefficients only tend to zero
            scores[rows] = kernel[np.ix_(rows, ~rows)] @ coefficients[~rows, position]
    return scores


def _curvature_inverse(kernel: Matrix, ridge: float) -> Matrix:
    bound = 0.5 * kernel.astype(np.float64) + ridge * np.eye(len(kernel))
    return np.asarray(np.linalg.inv(bound), dtype=np.float32)


def _solve(
    kernel: Matrix,
    inverse: Matrix,
    labels: npt.NDArray[np.int64],
    classes: int,
    ridge: float,
    seen: Matrix,
    tolerance: float,
) -> Matrix:
    """Coefficients of several fits at once, shape (examples, fits, classes); `seen` is (examples, fits) of 0 or 1."""
    count, fits = seen.shape
    truth = np.zeros((count, 1, classes), dtype=np.float32)
    truth[np.arange(count), 0, labels] = 1
    weights = seen[:, :, None]
    current = np.zeros((count, fits, classes), dtype=np.float32)
    ahead, momentum = current, 1.0
    for _ in range(_MOST_STEPS):
        probabilities = softmax(_times(kernel, ahead))
        gradient = (probabilities - truth) * weights + ridge * ahead
        following = ahead - _times(inverse, gradient)
        change = following - current
        if float(np.abs(change).max()) <= tolerance * float(np.abs(following).max()):
            return following
        if float(np.vdot(ahead - following, change)) > 0:  # overshot: forget the momentum
            momentum = 1.0
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + np.float32((momentum - 1) / faster) * change
        current, momentum = following, faster
    return current


def _times(square: Matrix, stacked: Matrix) -> Matrix:
    """`square` (n, n) times each of the stacked (n, fits, classes) matrices."""
    count = len(square)
    return np.asarray((square @ stacked.reshape(count, -1)).reshape(stacked.shape), dtype=np.float32)
