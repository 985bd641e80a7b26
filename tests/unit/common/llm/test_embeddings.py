"""The embedded embedder: what its vectors promise, and how near they are to the full model's."""

import hashlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from common.llm import embeddings
from common.llm.embeddings import Embedder, FloatMatrix, MiniLmEmbedder, embedded_embedder

HERE = Path(__file__).parent
MODEL_FOLDER = Path(embeddings.__file__).parent / "minilm"
TEXTS = (HERE / "minilm_texts.txt").read_text(encoding="utf-8").splitlines()
LONG_TEXT = "The lender shall keep the appraisal with the loan file. " * 200
"""Some 2,200 tokens."""


@pytest.fixture(scope="module")
def embedder() -> MiniLmEmbedder:
    return embedded_embedder()


@pytest.fixture(scope="module")
def full_model_vectors() -> FloatMatrix:
    """The float32 model's vectors of `TEXTS`, as infra/embedder/build.py wrote them."""
    with np.load(HERE / "minilm_fp32.npz") as arrays:
        vectors: FloatMatrix = arrays["vectors"].astype(np.float32)
    return vectors


def test_the_int8_model_stays_close_to_the_full_one(embedder: MiniLmEmbedder, full_model_vectors: FloatMatrix) -> None:
    cosines = (embedder.embed_documents(TEXTS) * full_model_vectors).sum(axis=1)
    assert cosines.mean() >= 0.99
    assert cosines.min() >= 0.98


def test_similarities_between_texts_are_those_of_the_full_model(
    embedder: MiniLmEmbedder, full_model_vectors: FloatMatrix
) -> None:
    vectors = embedder.embed_documents(TEXTS)
    difference = np.abs(vectors @ vectors.T - full_model_vectors @ full_model_vectors.T)
    assert difference.mean() <= 0.01
    assert difference.max() <= 0.06


def test_vectors_are_float32_rows_of_unit_length_in_the_order_given(embedder: MiniLmEmbedder) -> None:
    seam: Embedder = embedder
    vectors = seam.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), seam.dimensions)
    assert vectors.dtype == np.dtype("float32")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[::-1], seam.embed_documents(TEXTS[::-1]), atol=1e-4)


def test_a_vector_does_not_depend_on_the_texts_beside_it(embedder: MiniLmEmbedder) -> None:
    alone = np.stack([embedder.embed_query(text) for text in TEXTS])
    np.testing.assert_allclose(embedder.embed_documents(TEXTS), alone, atol=1e-4)


def test_a_text_embedded_twice_has_the_same_vector(embedder: MiniLmEmbedder) -> None:
    assert np.array_equal(embedder.embed_query(TEXTS[5]), embedder.embed_query(TEXTS[5]))


def test_no_texts_make_a_matrix_without_rows(embedder: MiniLmEmbedder) -> None:
    assert embedder.embed_documents([]).shape == (0, 384)


def test_empty_and_blank_texts_share_one_finite_vector(embedder: MiniLmEmbedder) -> None:
    empty, blank = embedder.embed_documents(["", " \n\t"])
    assert np.isfinite(empty).all()
    np.testing.assert_allclose(empty, blank, atol=1e-5)


def test_text_beyond_the_limit_does_not_reach_the_vector(embedder: MiniLmEmbedder) -> None:
    longer = embedder.embed_query(LONG_TEXT + "And now something about bananas.")
    np.testing.assert_allclose(embedder.embed_query(LONG_TEXT), longer, atol=1e-5)


@pytest.mark.parametrize("text", ["担保", "Залог", "naïve — “§ 5”", "🏠💰", "\x00\ufffd\u200b", "e\u0301"])
def test_any_unicode_text_has_a_vector(embedder: MiniLmEmbedder, text: str) -> None:
    np.testing.assert_allclose(np.linalg.norm(embedder.embed_query(text)), 1, atol=1e-5)


def test_letter_case_and_accents_make_no_difference(embedder: MiniLmEmbedder) -> None:
    plain, shouted = embedder.embed_documents(["credit resume for the house", "CRÉDIT RÉSUMÉ for the House"])
    np.testing.assert_allclose(plain, shouted, atol=1e-5)


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("How large may a loan on raw land be?", "For unimproved land the limit is 65 percent of its value."),
        ("When is a property valued by an expert?", "An appraisal is required above the threshold."),
        ("Why was I refused?", "An adverse action notice states the reasons for a denial of credit."),
        ("Is the claim public?", "A lien is perfected by filing a financing statement."),
    ],
)
def test_a_question_is_nearest_to_the_passage_that_answers_it(
    embedder: MiniLmEmbedder, question: str, passage: str
) -> None:
    passages = [
        "For unimproved land the limit is 65 percent of its value.",
        "An appraisal is required above the threshold.",
        "An adverse action notice states the reasons for a denial of credit.",
        "A lien is perfected by filing a financing statement.",
        "Bread is baked at 180 degrees.",
    ]
    scores = embedder.embed_documents(passages) @ embedder.embed_query(question)
    assert passages[int(scores.argmax())] == passage


def test_many_threads_share_one_embedder(embedder: MiniLmEmbedder) -> None:
    expected = embedder.embed_documents(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        vectors = np.stack(list(pool.map(embedder.embed_query, TEXTS)))
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_the_whole_text_as_a_span_is_near_the_texts_own_vector(embedder: MiniLmEmbedder) -> None:
    text = TEXTS[31]
    (span,) = embedder.embed_spans(text, [(0, len(text))])
    assert span @ embedder.embed_query(text) > 0.95


def test_a_span_knows_what_its_pronoun_stands_for(embedder: MiniLmEmbedder) -> None:
    text = "Raw land is seldom sold quickly. It may be lent on up to 65 percent."
    split = text.index("It")
    (with_context,) = embedder.embed_spans(text, [(split, len(text))])
    question = embedder.embed_query("limit for raw land")
    assert with_context @ question > embedder.embed_query(text[split:]) @ question + 0.1


def test_spans_beyond_the_first_window_are_read_in_later_ones(embedder: MiniLmEmbedder) -> None:
    text = LONG_TEXT + "A baker bakes bread."
    start = len(LONG_TEXT)
    first, last = embedder.embed_spans(text, [(0, 50), (start, len(text))])
    bread = embedder.embed_query("bread from the bakery")
    assert last @ bread > first @ bread + 0.2
    np.testing.assert_allclose([np.linalg.norm(first), np.linalg.norm(last)], 1, atol=1e-5)


def test_a_span_without_a_token_is_refused(embedder: MiniLmEmbedder) -> None:
    with pytest.raises(ValueError, match="span 1 holds no token"):
        embedder.embed_spans("loan   value", [(0, 4), (4, 7)])


def test_no_spans_make_a_matrix_without_rows(embedder: MiniLmEmbedder) -> None:
    assert embedder.embed_spans("loan", []).shape == (0, 384)


def test_the_name_changes_with_the_model() -> None:
    digest = hashlib.sha256((MODEL_FOLDER / "model.onnx").read_bytes()).hexdigest()
    assert MiniLmEmbedder.name.endswith(f"-{digest[:8]}")


def test_the_notice_names_the_files_that_are_there() -> None:
    notice = (MODEL_FOLDER / "NOTICE").read_text(encoding="utf-8").partition("files in this folder")[2]
    listed = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", notice, re.MULTILINE)}
    assert listed == {
        name: hashlib.sha256((MODEL_FOLDER / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "tokenizer.json")
    }


def test_one_process_loads_the_model_once() -> None:
    assert embedded_embedder() is embedded_embedder()


def test_importing_the_seam_loads_no_model_runtime() -> None:
    code = "import sys, common.llm.embeddings; sys.exit('onnxruntime' in sys.modules or 'tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
