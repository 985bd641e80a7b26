import functools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from common.llm.embeddings import FloatMatrix, FloatVector, embedded_embedder
from functions.query import kernel_logistic
from functions.query.agents import agents
from functions.query.routing import Router, UnreadableRouter, UnusableExamples, fingerprint, stored_router
from functions.query.tfidf import TfIdf, words
from tests.unit.functions.query import utterances

SMALL = {
    "fruit": ["apples and pears", "a ripe banana", "fresh fruit juice", "peel an orange"],
    "cars": ["change the oil of my car", "a flat tyre", "engine trouble", "park the car"],
    "music": ["play a song", "turn up the volume", "next track", "who sings this"],
}


class CountingEmbedder:
    """The embedded embedder, and how often it was asked."""

    name = "counting"
    dimensions = 384
    max_tokens = 256

    def __init__(self) -> None:
        self.asked = 0

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.asked += 1
        return embedded_embedder().embed_documents(texts)

    def embed_query(self, text: str) -> FloatVector:
        self.asked += 1
        return embedded_embedder().embed_query(text)


@functools.cache
def of_agents() -> Router:
    return Router.from_examples({card.name: card.examples for card in agents().values() if card.examples})


@functools.cache
def small() -> Router:
    return Router.from_examples(SMALL)


def test_a_message_goes_to_the_intent_that_it_resembles() -> None:
    route = small().route("my car has a broken engine")
    assert route.intent == "cars"
    assert route.alternatives[0] == "cars"
    assert len(route.alternatives) == 2
    assert small().threshold <= route.confidence <= 1


@pytest.mark.parametrize("message", ["", "   ", "...", "?!", "\n", "💥", "\x00"])
def test_a_message_without_words_is_for_nobody(message: str) -> None:
    route = small().route(message)
    assert (route.intent, route.confidence) == (None, 0.0)


@pytest.mark.parametrize("message", ["asdf qwer zxcv", "jkhsdf kjhsdf kjh", "blorp fnord wibble"])
def test_gibberish_is_unsure_and_says_so_with_its_confidence(message: str) -> None:
    route = small().route(message)
    assert route.intent is None
    assert route.confidence < small().route("play a song").confidence
    assert len(route.alternatives) == 2


def test_a_given_vector_is_used_instead_of_embedding_again() -> None:
    embedder = CountingEmbedder()
    router = Router.from_examples(SMALL, embedder)
    embedder.asked = 0
    plain = router.route("engine of the car")
    assert embedder.asked == 1
    assert router.route("engine of the car", embedder.embed_query("engine of the car")) == plain
    assert embedder.asked == 2


def test_the_same_examples_give_the_same_router_in_any_order_of_intents() -> None:
    other = Router.from_examples({name: SMALL[name] for name in reversed(SMALL)})
    assert other.threshold == pytest.approx(small().threshold, abs=1e-4)
    assert other.route("a fresh apple").confidence == pytest.approx(small().route("a fresh apple").confidence, abs=1e-3)


@pytest.mark.parametrize("examples", [{}, {"fruit": []}, {"fruit": ["apple"], "cars": ["...", " "]}])
def test_an_intent_without_a_usable_example_is_refused(examples: Mapping[str, Sequence[str]]) -> None:
    with pytest.raises(UnusableExamples):
        Router.from_examples(examples)


def test_one_intent_is_enough_and_has_itself_as_the_only_alternative() -> None:
    router = Router.from_examples({"fruit": SMALL["fruit"]})
    assert router.route("a ripe banana").intent == "fruit"
    assert router.route("banana").alternatives == ("fruit",)


def test_one_example_an_intent_is_enough() -> None:
    router = Router.from_examples({"fruit": ["apples and pears"], "cars": ["change the oil of my car"]})
    assert router.route("change the oil of my car").intent == "cars"


def test_long_messages_are_routed_too() -> None:
    assert small().route("please play a song " * 5_000).alternatives[0] == "music"


def test_what_is_stored_routes_as_what_was_fitted(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "router.npz"
    small().save(path)
    loaded = Router.load(path)
    assert loaded.route("my car has a broken engine") == small().route("my car has a broken engine")
    assert (loaded.fingerprint, loaded.threshold, loaded.intents) == (
        small().fingerprint,
        small().threshold,
        small().intents,
    )
    assert [file.name for file in path.parent.iterdir()] == ["router.npz"]


def test_a_second_start_fits_nothing(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    first = stored_router(SMALL, tmp_path, embedder)
    (file,) = tmp_path.iterdir()
    assert file.name == f"router-{fingerprint(SMALL, embedder)}.npz"
    embedder.asked = 0
    second = stored_router(SMALL, tmp_path, embedder)
    assert embedder.asked == 0
    assert second.route("a flat tyre") == first.route("a flat tyre")


def test_changed_examples_are_fitted_anew(tmp_path: Path) -> None:
    stored_router(SMALL, tmp_path)
    router = stored_router({**SMALL, "weather": ["will it rain", "sunny today"]}, tmp_path)
    assert "weather" in router.intents


def test_only_the_newest_router_is_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.npz").touch()
    stored_router(SMALL, tmp_path)
    router = stored_router({"fruit": SMALL["fruit"]}, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["notes.npz", f"router-{router.fingerprint}.npz"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"router-{fingerprint(SMALL, embedded_embedder())}.npz"
    path.write_bytes(content)
    with pytest.raises(UnreadableRouter):
        Router.load(path)
    assert stored_router(SMALL, tmp_path).route("a flat tyre").intent == "cars"
    assert Router.load(path).intents == small().intents


def test_a_file_of_another_fit_under_this_name_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / f"router-{fingerprint(SMALL, embedded_embedder())}.npz"
    Router.from_examples({"fruit": SMALL["fruit"]}).save(path)
    assert stored_router(SMALL, tmp_path).intents == small().intents


def test_an_archive_without_a_router_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "router.npz"
    np.savez(path, about=np.frombuffer(json.dumps({}).encode(), dtype=np.uint8))
    with pytest.raises(UnreadableRouter):
        Router.load(path)


def test_a_folder_that_cannot_be_written_costs_only_the_fit(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    assert stored_router(SMALL, blocked).route("a flat tyre").intent == "cars"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **names: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(OSError, match="disk full"):
        small().save(tmp_path / "router.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("agent", "messages", "share"),
    [
        ("greeting", utterances.GREETING, 0.85),
        ("help", utterances.HELP, 0.9),
        ("knowledge", utterances.KNOWLEDGE, 0.75),
        ("collateral", utterances.COLLATERAL, 0.9),
    ],
)
def test_the_agents_get_their_messages(agent: str, messages: Sequence[str], share: float) -> None:
    routes = [of_agents().route(message) for message in messages]
    assert np.mean([route.intent == agent for route in routes]) >= share
    assert np.mean([route.intent not in (None, agent) for route in routes]) <= 0.07


def test_what_is_for_nobody_is_refused() -> None:
    routes = [of_agents().route(message) for message in utterances.NOBODY]
    assert np.mean([route.intent is None for route in routes]) >= 0.9


def test_confidence_parts_messages_for_an_agent_from_messages_for_nobody() -> None:
    meant = [*utterances.GREETING, *utterances.HELP, *utterances.KNOWLEDGE, *utterances.COLLATERAL]
    inside = np.array([of_agents().route(message).confidence for message in meant])
    outside = np.array([of_agents().route(message).confidence for message in utterances.NOBODY])
    assert np.mean(inside[:, None] > outside[None, :]) >= 0.97


def test_rules_go_to_knowledge_and_own_figures_to_collateral() -> None:
    assert of_agents().route("What is the LTV limit for raw land?").intent == "knowledge"
    assert of_agents().route("raw land worth 200k, loan 150k, what is the LTV?").intent == "collateral"


def test_many_intents_fit_within_seconds_and_stay_finite() -> None:
    random = np.random.default_rng(7)
    letters = list("abcdefghijklmnoprstuvw")
    lexicon = ["".join(random.choice(letters, size=5)) for _ in range(300)]

    class NoisyEmbedder(CountingEmbedder):
        """A direction for each of the first words, and noise."""

        def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
            return np.stack([self.embed_query(text) for text in texts])

        def embed_query(self, text: str) -> FloatVector:
            own = np.random.default_rng(lexicon.index(text.split()[0])).normal(size=384)
            vector = own + random.normal(size=384)
            return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    examples = {
        f"intent{number}": [f"{lexicon[number]} {' '.join(random.choice(lexicon, size=6))}" for _ in range(8)]
        for number in range(80)
    }
    began = time.process_time()
    router = Router.from_examples(examples, NoisyEmbedder())
    assert time.process_time() - began < 30  # some 2 s on an idle machine
    routes = [router.route(f"{lexicon[number]} {lexicon[-1]}") for number in range(80)]
    assert np.mean([route.alternatives[0] == f"intent{number}" for number, route in enumerate(routes)]) > 0.9
    assert all(0 <= route.confidence <= 1 for route in routes)
    assert 0 < router.threshold < 1


def test_words_take_every_number_as_the_same() -> None:
    assert words("Is $500,000 & 80% enough; or not?") == ["is", "0", "0", "enough", "or", "not"]
    assert words("400k house") == ["0", "house"]


def test_likeness_by_words_is_1_for_the_same_text_and_0_for_strangers() -> None:
    index = TfIdf.of(["raw land limit", "bank holiday"])
    same = index.similarities("raw land limit")
    assert same[0] == pytest.approx(1, abs=1e-6)
    assert same[1] == 0
    assert list(index.similarities("xyz")) == [0, 0]


def test_words_that_nobody_uses_make_a_message_less_alike() -> None:
    index = TfIdf.of(["raw land limit", "bank holiday"])
    assert index.similarities("raw land limit unheard-of things")[0] < index.similarities("raw land limit")[0]


def test_a_fold_held_out_of_the_fit_has_no_say_in_its_scores() -> None:
    points = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], dtype=np.float32)
    kernel = points @ points.T
    labels = np.array([0, 0, 1, 1])
    scores = kernel_logistic.held_out_scores(kernel, labels, np.arange(4), 2, 0.1)
    for row in range(4):
        others = np.arange(4) != row
        alone = kernel_logistic.fit(kernel[np.ix_(others, others)], labels[others], 2, 0.1)
        assert scores[row] == pytest.approx(kernel[row, others] @ alone, abs=0.05)


def test_the_fit_is_the_optimum() -> None:
    random = np.random.default_rng(3)
    points = random.normal(size=(30, 5)).astype(np.float32)
    kernel, labels, ridge = points @ points.T, random.integers(0, 3, 30), 0.5
    coefficients = kernel_logistic.fit(kernel, labels, 3, ridge)
    truth = np.eye(3, dtype=np.float32)[labels]
    gradient = (
        kernel_logistic.softmax(np.asarray(kernel @ coefficients, dtype=np.float32)) - truth + ridge * coefficients
    )
    assert np.abs(points.T @ gradient).max() < 0.02


def test_a_fit_ends_even_where_it_would_take_ever_more_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_logistic, "_MOST_STEPS", 1)
    kernel = np.eye(4, dtype=np.float32)
    assert np.isfinite(kernel_logistic.fit(kernel, np.array([0, 0, 1, 1]), 2, 0.1)).all()
