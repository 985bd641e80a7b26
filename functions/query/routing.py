"""Which agent a message is for, learned from the agents' example utterances.

Kernel logistic regression on (1 - w) x TF-IDF + w x embedding cosine. Confidence is the root of probability times
the likeness of the nearest example: probability alone is high for anything that merely resembles one intent more
than the others, and likeness alone says nothing where two intents meet.
"""

import contextlib
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.llm.embeddings import Embedder, embedded_embedder
from functions.query import kernel_logistic
from functions.query.tfidf import TfIdf, words

_METHOD = "kernel-logistic-1"  # part of the fingerprint: change it with anything that changes a fit
_EMBEDDING_WEIGHT = 0.8  # measured flat from 0.7 to 0.9 on fine and on coarse intents
_RIDGE = 0.03
_FOLDS_CELLS = 600_000  # examples x classes x folds of the leave-out runs: what keeps a fit within seconds
_FEWEST_FOLDS = 5
_REFUSED = (0.03, 0.10)  # least and largest part of the right routings that the threshold gives up

FloatVector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a message goes. `intent` is None below the router's threshold; `confidence` is 0 to 1 in any case.

    `alternatives` are the two likeliest intents (one, where there is only one), likeliest first.
    """

    intent: str | None
    confidence: float
    alternatives: tuple[str, ...]


class UnusableExamples(ValueError):
    """There is no intent, or an intent without an example that has a word in it."""


class Router:
    """Fitted, immutable, safe to share between threads."""

    def __init__(
        self,
        *,
        intents: Sequence[str],
        lexical: TfIdf,
        vectors: npt.NDArray[np.float32],
        coefficients: npt.NDArray[np.float32],
        threshold: float,
        fingerprint: str,
        embedder: Embedder,
    ) -> None:
        """`vectors` has one row an example, `coefficients` is (examples, intents)."""
        self.intents = tuple(intents)
        self.threshold = threshold
        self.fingerprint = fingerprint
        self._lexical = lexical
        self._vectors = vectors
        self._coefficients = coefficients
        self._embedder = embedder

    @classmethod
    def from_examples(cls, examples: Mapping[str, Sequence[str]], embedder: Embedder | None = None) -> "Router":
        """Fits a router on utterances by intent; takes well under a second for tens of intents.

        Raises:
            UnusableExamples: no intent, or one without a usable example.
        """
        embedder = embedder or embedded_embedder()
        intents = sorted(examples)
        rows = [(number, text) for number, name in enumerate(intents) for text in examples[name] if words(text)]
        labels = np.array([number for number, _ in rows], dtype=np.int64)
        if not intents or len(np.unique(labels)) < len(intents):
            raise UnusableExamples("every intent needs an example with at least one word")
        texts = [text for _, text in rows]
        lexical, vectors = TfIdf.of(texts), embedder.embed_documents(texts)
        similarity = _combined(np.stack([lexical.similarities(text) for text in texts]), vectors @ vectors.T)
        similarity = np.asarray((similarity + similarity.T) / 2, dtype=np.float32)  # symmetric to the last bit
        return cls(
            intents=intents,
            lexical=lexical,
            vectors=vectors,
            coefficients=kernel_logistic.fit(similarity, labels, len(intents), _RIDGE),
            threshold=_threshold(similarity, labels, len(intents)),
            fingerprint=fingerprint(examples, embedder),
            embedder=embedder,
        )

    def route(self, text: str, vector: FloatVector | None = None) -> Route:
        """The intent of `text`; `vector` is its `embed_query`, where the caller has it already."""
        if not words(text):  # an embedding of nothing is still near something
            return Route(intent=None, confidence=0.0, alternatives=self.intents[:2])
        if vector is None:
            vector = self._embedder.embed_query(text)
        # einsum, not @: for one vector the threads of a BLAS cost more than they give, above all under load
        similarity = _combined(self._lexical.similarities(text), np.einsum("ij,j->i", self._vectors, vector))
        probabilities = kernel_logistic.softmax(similarity @ self._coefficients)
        order = np.argsort(-probabilities, kind="stable")[:2]
        confidence = float(_confidence(probabilities.max(keepdims=True), similarity.max(keepdims=True))[0])
        likeliest = tuple(self.intents[number] for number in order)
        return Route(
            intent=likeliest[0] if confidence >= self.threshold else None,
            confidence=confidence,
            alternatives=likeliest,
        )

    def save(self, path: Path) -> None:
        """Writes the fitted router as one .npz file: whole or not at all, also beside other writers.

        Raises:
            OSError: the folder cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "fingerprint": self.fingerprint,
            "threshold": self.threshold,
            "intents": self.intents,
            "size": self._lexical.size,
            "vocabulary": list(self._lexical.vocabulary),
        }
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            try:
                np.savez(
                    file,
                    about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
                    vectors=self._vectors,
                    coefficients=self._coefficients,
                    starts=self._lexical.starts,
                    rows=self._lexical.rows,
                    weights=self._lexical.weights,
                    inverse_frequency=self._lexical.inverse_frequency,
                )
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    @classmethod
    def load(cls, path: Path, embedder: Embedder | None = None) -> "Router":
        """What `save` wrote. `embedder` must be the one that the router was fitted with.

        Raises:
            OSError: there is no such file, or it cannot be read.
            UnreadableRouter: the file is no stored router.
        """
        try:
            # opened here, for np.load leaves the file open when it is no archive
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            about = json.loads(arrays["about"].tobytes())
            return cls(
                intents=about["intents"],
                lexical=TfIdf(
                    size=about["size"],
                    vocabulary={term: number for number, term in enumerate(about["vocabulary"])},
                    starts=arrays["starts"],
                    rows=arrays["rows"],
                    weights=arrays["weights"],
                    inverse_frequency=arrays["inverse_frequency"],
                ),
                vectors=arrays["vectors"],
                coefficients=arrays["coefficients"],
                threshold=about["threshold"],
                fingerprint=about["fingerprint"],
                embedder=embedder or embedded_embedder(),
            )
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise UnreadableRouter(str(path)) from error


class UnreadableRouter(ValueError):
    """The file is not a router that this version stored. Whoever has the examples fits a new one."""


def stored_router(examples: Mapping[str, Sequence[str]], folder: Path, embedder: Embedder | None = None) -> Router:
    """The router of these examples from `folder`, fitted and stored there if it is not yet.

    Routers of other examples go from the folder then. A folder that cannot be written costs a fit at every start,
    and nothing else.
    """
    embedder = embedder or embedded_embedder()
    wanted = fingerprint(examples, embedder)
    path = folder / f"router-{wanted}.npz"
    try:
        router = Router.load(path, embedder)
        if router.fingerprint == wanted:
            return router
    except (OSError, UnreadableRouter):
        pass  # not there, or cut off by a full disk: fitted anew below
    router = Router.from_examples(examples, embedder)
    with contextlib.suppress(OSError):  # read-only or full: see above
        router.save(path)
        for other in folder.glob("router-*.npz"):
            if other != path:
                other.unlink(missing_ok=True)
    return router


def fingerprint(examples: Mapping[str, Sequence[str]], embedder: Embedder) -> str:
    """Short name of a fit: changes with the examples, the embedder and the method."""
    content = json.dumps(
        [_METHOD, embedder.name, {name: list(texts) for name, texts in examples.items()}], sort_keys=True
    )
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _combined(lexical: FloatVector, cosine: FloatVector) -> FloatVector:
    return np.asarray((1 - _EMBEDDING_WEIGHT) * lexical + _EMBEDDING_WEIGHT * cosine, dtype=np.float32)


def _confidence(probability: FloatVector, likeness: FloatVector) -> FloatVector:
    return np.asarray(np.sqrt(np.clip(probability * likeness, 0, 1)), dtype=np.float32)


def _threshold(similarity: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: int) -> float:
    """The confidence that balances wrong routings against wrong refusals over examples held out of the fit.

    Examples alone know no message that belongs to nobody, so a small part of the right routings is given up in any
    case; and where intents overlap too much to be told apart, no more than the larger part of `_REFUSED` is.
    0 where holding out leaves nothing to learn from.
    """
    folds = _folds(labels, classes)
    scores = kernel_logistic.held_out_scores(similarity, labels, folds, classes, _RIDGE)
    probabilities = kernel_logistic.softmax(scores)
    likeness = np.where(folds[:, None] == folds[None, :], -1, similarity).max(axis=1)
    confidence = _confidence(probabilities.max(axis=1), likeness)
    right = probabilities.argmax(axis=1) == labels
    if not right.any():
        return 0.0
    candidates = np.sort(confidence)
    wrong_routings = (~right[None, :] & (confidence[None, :] >= candidates[:, None])).sum(axis=1)
    wrong_refusals = (right[None, :] & (confidence[None, :] < candidates[:, None])).sum(axis=1)
    balanced = candidates[int(np.argmin(wrong_routings + wrong_refusals))]
    return float(np.clip(balanced, *np.quantile(confidence[right], _REFUSED)))


def _folds(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """Fold of each example: leave-one-out while that is quick, else every intent spread evenly over the folds."""
    count = len(labels)
    folds = min(count, max(_FEWEST_FOLDS, _FOLDS_CELLS // (count * classes)))
    return np.arange(count, dtype=np.int64) % folds
