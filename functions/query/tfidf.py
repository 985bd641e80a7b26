"""How alike two short texts are by their words and letters: cosine of TF-IDF over an inverted index, 0 to 1."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
_WORD = re.compile(r"\d[\d.,]*[a-z]*|[^\W\d_]+")
_LETTERS = (3, 4, 5)
_MOST_WORDS = 400  # what lies beyond does not change what a message is about, and bounds the work
_LONGEST_WORD = 40


def words(text: str) -> list[str]:
    """Lower-case words; every number is the same word "0", for its size says nothing about what is asked."""
    found = _WORD.findall(text[: _MOST_WORDS * _LONGEST_WORD].casefold())[:_MOST_WORDS]
    return ["0" if word[0].isdigit() else word[:_LONGEST_WORD] for word in found]


def _terms(text: str) -> tuple[Counter[str], Counter[str]]:
    """Words with word pairs, and letter sequences within words: two views, each later of unit length."""
    sequence = words(text)
    pairs = (f"{left} {right}" for left, right in itertools.pairwise(sequence))
    return Counter([*sequence, *pairs]), Counter(_letter_runs(sequence))


def _letter_runs(sequence: Sequence[str]) -> Iterator[str]:
    for word in sequence:
        padded = f"_{word}_"
        for size in _LETTERS:
            yield from (f"~{padded[at : at + size]}" for at in range(len(padded) - size + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TfIdf:
    """Texts by their terms. Postings of term number t are `rows[starts[t]:starts[t + 1]]` with their `weights`."""

    size: int  # texts
    vocabulary: Mapping[str, int]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    weights: Vector
    inverse_frequency: Vector

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TfIdf":
        views = [_terms(text) for text in texts]
        frequency = Counter(term for pair in views for view in pair for term in view)
        vocabulary = {term: number for number, term in enumerate(sorted(frequency))}
        inverse = {term: _inverse_frequency(len(texts), count) for term, count in frequency.items()}
        unseen = _inverse_frequency(len(texts), 0)
        postings: list[list[tuple[int, float]]] = [[] for _ in vocabulary]
        for row, pair in enumerate(views):
            for view in pair:
                for term, weight in _weights(view, inverse, unseen):
                    postings[vocabulary[term]].append((row, weight))
        flat = [entry for posting in postings for entry in posting]
        return cls(
            size=len(texts),
            vocabulary=vocabulary,
            starts=np.cumsum([0, *map(len, postings)], dtype=np.int64),
            rows=np.array([row for row, _ in flat], dtype=np.int32),
            weights=np.array([weight for _, weight in flat], dtype=np.float32),
            inverse_frequency=np.array([inverse[term] for term in vocabulary], dtype=np.float32),
        )

    def similarities(self, text: str) -> Vector:
        """Mean of both views' cosines with each text, shape (size,). A term that no text has counts against all."""
        unseen = _inverse_frequency(self.size, 0)
        slices: list[slice] = []
        scales: list[float] = []
        for view in _terms(text):
            known = {
                term: float(self.inverse_frequency[self.vocabulary[term]]) for term in view if term in self.vocabulary
            }
            for term, weight in _weights(view, known, unseen):
                number = self.vocabulary.get(term)
                if number is not None:
                    slices.append(slice(int(self.starts[number]), int(self.starts[number + 1])))
                    scales.append(weight / 2)
        if not slices:
            return np.zeros(self.size, dtype=np.float32)
        rows = np.concatenate([self.rows[one] for one in slices])
        weights = np.concatenate([self.weights[one] * scale for one, scale in zip(slices, scales, strict=True)])
        return np.bincount(rows, weights=weights, minlength=self.size).astype(np.float32)


def _inverse_frequency(texts: int, with_term: int) -> float:
    return math.log((1 + texts) / (1 + with_term)) + 1


def _weights(view: Counter[str], inverse: Mapping[str, float], unseen: float) -> list[tuple[str, float]]:
    """Terms with damped count x inverse frequency, scaled to unit length."""
    raw = [(term, (1 + math.log(count)) * inverse.get(term, unseen)) for term, count in view.items()]
    length = math.sqrt(sum(weight * weight for _, weight in raw)) or 1.0
    return [(term, weight / length) for term, weight in raw]
