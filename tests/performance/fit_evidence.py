"""Fits the constants of `functions.query.evidence`: `python -m tests.performance.fit_evidence --data DIR QUESTIONS...`

Prints weights for `WEIGHTS` (softmax regression: the labelled sections' sentences with the asked fact against all
others that a search found) and for `SUPPORT_WEIGHTS` (logistic regression: answerable or not), each with what it
reaches on questions that it was not fitted on (8 folds). Questions and data as in `tests.performance.regulations`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.security.principal import DEFAULT_TENANT
from functions.query.answering import retriever
from functions.query.evidence import FEATURES, SIGNALS, Sentence, signals
from functions.query.question import read_question
from tests.performance.regulations import Question, ingest, prepare, read_documents, read_questions

Matrix = npt.NDArray[np.float64]
FOLDS = 8
WEIGHT_RIDGE = 0.02
SUPPORT_RIDGE = 0.02
FIT_STEPS = 300
ALLOWED_REFUSALS = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A question's sentences, their features (sentences, features), and which of them bear its answer."""

    question: Question
    sentences: Sequence[Sentence]
    features: Matrix
    bears: npt.NDArray[np.bool_]


def search(question: Question) -> Search:
    found = retriever().find(read_question(question.text), DEFAULT_TENANT)
    sentences = [sentence for part in found.parts for sentence in part]
    return Search(
        question=question,
        sentences=sentences,
        features=np.array([sentence.features for sentence in sentences]),
        bears=np.array([bears(sentence, question) for sentence in sentences]),
    )


def bears(sentence: Sentence, question: Question) -> bool:
    text = sentence.text.lower()
    is_right = sentence.hit.chunk.document_id in question.sections
    return is_right and any(fact.lower() in text for group in question.facts for fact in group)


def fit_weights(searches: Sequence[Search]) -> Matrix:
    """Maximises the probability of the bearing sentences under a softmax over all of a search's; Adam with decay."""
    useful = [one for one in searches if one.bears.any()]
    weights = np.zeros(len(FEATURES))
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, FIT_STEPS + 1):
        gradient = sum((_gradient(one, weights) for one in useful), np.zeros_like(weights)) / len(useful)
        gradient += WEIGHT_RIDGE * weights
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        rate = 0.15 * (1 - step / (FIT_STEPS + 1))
        weights = weights - rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return weights


def _gradient(one: Search, weights: Matrix) -> Matrix:
    scores = one.features @ weights
    share = np.exp(scores - scores.max())
    share /= share.sum()
    of_bearing = share * one.bears
    gradient: Matrix = (share - of_bearing / of_bearing.sum()) @ one.features
    return gradient


def fit_support(values: Matrix, answerable: Matrix) -> tuple[Matrix, float]:
    """Weights and bias of a ridge logistic regression on standardised signals, both classes of equal weight."""
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    inputs = np.c_[(values - mean) / spread, np.ones(len(values))]
    share = np.where(answerable == 1, 0.5 / answerable.sum(), 0.5 / (1 - answerable).sum())
    ridge = np.diag([SUPPORT_RIDGE] * values.shape[1] + [0.0])
    found = np.zeros(inputs.shape[1])
    for _ in range(30):
        likely = 1 / (1 + np.exp(-inputs @ found))
        curve = (inputs.T * (share * likely * (1 - likely) + 1e-9)) @ inputs + ridge
        found -= np.linalg.solve(curve, inputs.T @ (share * (likely - answerable)) + ridge @ found)
    weights = found[:-1] / spread
    return weights, float(found[-1] - mean @ weights)


def folds(count: int) -> list[npt.NDArray[np.int64]]:
    return np.array_split(np.random.default_rng(0).permutation(count), FOLDS)


def report_weights(searches: Sequence[Search]) -> None:
    first = []
    for held in folds(len(searches)):
        weights = fit_weights([one for row, one in enumerate(searches) if row not in held])
        for one in (searches[row] for row in held):
            best = one.sentences[int(np.argmax(one.features @ weights))]
            first.append(best.hit.chunk.document_id in one.question.sections)
    print(f"WEIGHTS, {len(searches)} questions; held out, right section first: {np.mean(first):.3f}")
    for name, weight in zip(FEATURES, fit_weights(searches), strict=True):
        print(f"  {name:<18} {weight:6.2f}")


def report_support(questions: Sequence[Question], values: Matrix) -> None:
    answerable = np.array([float(question.is_answerable) for question in questions])
    held_out = np.zeros(len(questions))
    for held in folds(len(questions)):
        rest = np.setdiff1d(np.arange(len(questions)), held)
        weights, bias = fit_support(values[rest], answerable[rest])
        held_out[held] = values[held] @ weights + bias
    threshold = np.quantile(held_out[answerable == 1], ALLOWED_REFUSALS)
    refused = np.mean(held_out[answerable == 0] < threshold)
    above = held_out[answerable == 1][:, None] > held_out[answerable == 0][None, :]
    print(f"SUPPORT_WEIGHTS, {len(questions)} questions; held out, AUROC {above.mean():.3f}, ", end="")
    print(f"{refused:.2f} refused at {ALLOWED_REFUSALS:.2f} wrong refusals")
    weights, bias = fit_support(values, answerable)
    for name, weight in zip(SIGNALS, weights, strict=True):
        print(f"  {name:<18} {weight:6.2f}")
    scores = values @ weights + bias
    shift = float(np.quantile(scores[answerable == 1], ALLOWED_REFUSALS))
    print(f"  bias               {bias - shift:6.2f}, which refuses {ALLOWED_REFUSALS:.2f} of the answerable")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("questions", type=Path, nargs="+")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATA_DIR", folder)  # read with the settings, at their first use below
        prepare()
        ingest(read_documents(arguments.data))
        questions = read_questions(arguments.questions)
        report_weights([search(question) for question in questions if question.is_answerable])
        report_support(questions, np.array([_signals(question) for question in questions]))
    return 0


def _signals(question: Question) -> list[float]:
    """With the weights as they stand in the module: change those first."""
    read = read_question(question.text)
    found = retriever().find(read, DEFAULT_TENANT)
    return signals(read, found.parts, found.frequencies)


if __name__ == "__main__":
    sys.exit(main())
