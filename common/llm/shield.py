"""The PII shield: what leaves for a remote model carries placeholders instead of personal data, and they come back.

Looked for are the kinds of common/pii.py, names as far as the request tells them (common/llm/shield_names.py), postal
addresses (common/llm/shield_addresses.py), and dates of birth and numbers of papers that are called so
(common/llm/shield_identity.py). Amounts, rates and other dates stay: they are what is asked about.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from common.invisible import visible
from common.llm.chat import ChatAnswer, ChatChunk, ChatModel, ChatRequest, Lane, Passage
from common.llm.shield_addresses import addresses
from common.llm.shield_identity import birth_dates, id_numbers
from common.llm.shield_names import Names, names_in
from common.llm.shield_placeholders import (
    ADDRESS,
    BIRTH_DATE,
    ID_NUMBER,
    NAME,
    TEXT,
    Placeholders,
    Restoration,
    lookalikes,
)
from common.once import once
from common.pii import detect_all

if TYPE_CHECKING:
    from common.llm.embeddings import Embedder, FloatMatrix, FloatVector

INSTRUCTION = (
    "Some personal data is replaced by placeholders such as [EMAIL_K7Q2AB] or [NAME_M3X7TD]. The same placeholder "
    "always stands for the same value; one with two more characters, as [NAME_M3X7TD_5C], for the same value in "
    "another spelling. Copy placeholders exactly as they are, in quotes too, and never guess what they stand for."
)

_TELLING_CHARACTERS = 6
_TELLING_DIGITS = 8

Place = tuple[int, int, str]
"""`text[start:end]`, and the kind of what stands there."""


@once
def shield_key() -> bytes:
    """This product's key of placeholders, 32 bytes: instances that share a database make the same ones.

    Raises:
        InvalidSettings, DatabaseUnavailable, KeysUnavailable: as `common.security.keyring.key_ring`.
    """
    from common.security.keyring import key_ring

    return bytes.fromhex(key_ring().mac("shield", b"placeholders"))


class ShieldedModel:
    """A `ChatModel` that asks `model` with placeholders, and puts the values back into what it answers.

    Everything that is sent is covered: instruction (which may repeat a model's findings), question, history, and of
    passages text, title, heading and source. `Passage.document_id` is no part of a prompt and stays. Errors pass: the
    `answer` that they carry has no text.
    """

    def __init__(self, model: ChatModel, key: bytes) -> None:
        """Equal keys give equal placeholders within a conversation (`ChatRequest.conversation`)."""
        self._model = model
        self._key = key

    @property
    def provider(self) -> str:
        return self._model.provider

    @property
    def model(self) -> str:
        return self._model.model

    def model_on(self, lane: Lane) -> str:
        return self._model.model_on(lane)

    def generate(self, request: ChatRequest) -> ChatAnswer:
        hidden, placeholders = self._hidden(request)
        return _restored(self._model.generate(hidden), placeholders, request)

    def stream(self, request: ChatRequest) -> Generator[ChatChunk, None, None]:
        """A chunk for each of the model's, so that signs of life stay; its text may be empty while an end is held."""
        hidden, placeholders = self._hidden(request)
        restoration = Restoration(placeholders, is_json=request.json_schema is not None)
        with closing(self._model.stream(hidden)) as chunks:
            for chunk in chunks:
                text = restoration.add(chunk.text)
                if chunk.answer is None:
                    yield ChatChunk(text=text)
                else:
                    answer = _restored(chunk.answer, placeholders, request)
                    yield ChatChunk(text=text + restoration.end(), answer=answer)

    def sent(self, request: ChatRequest) -> ChatRequest:
        """`request` as it would be sent."""
        return self._hidden(request)[0]

    def _hidden(self, request: ChatRequest) -> tuple[ChatRequest, Placeholders]:
        """`request` with placeholders, and what they stand for."""
        placeholders = Placeholders(self._key, request.conversation)
        # A prompt leaves invisible characters out, and a number that they part would be whole again.
        texts = {text: visible(text) for text in (request.instruction, *_texts(request))}
        found = places_in(texts.values(), names_in(visible(text) for text in _texts(request)))

        def hide(text: str) -> str:
            return _replaced(texts[text], found[texts[text]], placeholders)

        hidden = replace(
            request,
            instruction=hide(request.instruction),
            question=hide(request.question),
            history=tuple((role, hide(text)) for role, text in request.history),
            passages=tuple(
                replace(
                    passage,
                    title=hide(passage.title),
                    source=None if passage.source is None else hide(passage.source),
                    heading=hide(passage.heading),
                    text=hide(passage.text),
                    evidence=(),  # its offsets are those of the other text
                )
                for passage in request.passages
            ),
        )
        if not placeholders:
            return request, placeholders
        return replace(hidden, instruction=f"{hidden.instruction}\n\n{INSTRUCTION}"), placeholders


class ShieldedEmbedder:
    """An `Embedder` that sends texts to `embedder` with markers ("[EMAIL]") instead of personal data, for good.

    It has the name of `embedder`: vectors of a text and of the masked text are near enough to meet in one index, and
    another name would have every document embedded anew. Names are those that the same text tells.
    """

    def __init__(self, embedder: "Embedder") -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    def embed_documents(self, texts: Sequence[str]) -> "FloatMatrix":
        return self._embedder.embed_documents([marked(text) for text in texts])

    def embed_query(self, text: str) -> "FloatVector":
        return self._embedder.embed_query(marked(text))


def places_in(texts: Iterable[str], names: Names) -> dict[str, list[Place]]:
    """`places` of each of `texts`; what one tells to be personal (by a label, say) is so in the others too."""
    found = {text: places(text, names) for text in texts}
    kinds: dict[str, str] = {}
    for text, one in found.items():
        for start, end, kind in one:
            if kind not in (NAME, TEXT):
                kinds.update((value, kind) for value in _forms(text[start:end]))
    if not kinds:
        return found
    longest_first = sorted(map(re.escape, kinds), key=len, reverse=True)
    known = re.compile(rf"(?<![\w$\u20ac\u00a3])(?<!\d[.,\-])(?:{'|'.join(longest_first)})(?!\w|[.,\-]\d)")
    for text, one in found.items():
        again = [(match.start(), match.end(), kinds[match[0]]) for match in known.finditer(text)]
        found[text] = _merged(sorted([*one, *again]))
    return found


def _forms(value: str) -> Iterator[str]:
    """`value` where it is long enough to be nothing else, and a number also without what groups its digits."""
    if len(value) >= _TELLING_CHARACTERS:
        yield value
    digits = "".join(filter(str.isdigit, value))
    if len(digits) >= _TELLING_DIGITS and not any(map(str.isalpha, value)):
        yield digits


def places(text: str, names: Names) -> list[Place]:
    """Where personal data stands in `text`, and what looks like a placeholder; left to right, never overlapping.

    Of two finds that overlap the longer gives its kind, and both their characters are covered.
    """
    found = [
        *((start, end, TEXT) for start, end in lookalikes(text)),
        *detect_all(text),
        *((start, end, ADDRESS) for start, end in addresses(text)),
        *((start, end, BIRTH_DATE) for start, end in birth_dates(text)),
        *((start, end, ID_NUMBER) for start, end in id_numbers(text)),
        *((start, end, NAME) for start, end in names.places(text)),
    ]
    return _merged(sorted(found))


def _merged(found: Iterable[Place]) -> list[Place]:
    merged: list[Place] = []
    for start, end, kind in found:
        if not merged or start >= merged[-1][1]:
            merged.append((start, end, kind))
            continue
        first, last, other = merged[-1]
        merged[-1] = (first, max(end, last), kind if end - start > last - first else other)
    return merged


def _replaced(text: str, found: Iterable[Place], placeholders: Placeholders) -> str:
    parts: list[str] = []
    position = 0
    for start, end, kind in found:
        parts += (text[position:start], placeholders.of(kind, text[start:end]))
        position = end
    return "".join((*parts, text[position:])) if parts else text


def marked(text: str) -> str:
    """`text` with markers ("[EMAIL]") in place of what is personal in it, the names that it tells among it."""
    text = visible(text)
    parts: list[str] = []
    position = 0
    for start, end, kind in places(text, names_in([text])):
        if kind != TEXT:
            parts += (text[position:start], f"[{kind}]")
            position = end
    return "".join((*parts, text[position:])) if parts else text


def _texts(request: ChatRequest) -> Generator[str, None, None]:
    """What may tell a name; our own instruction does not."""
    yield request.question
    for _, text in request.history:
        yield text
    for passage in request.passages:
        yield from _texts_of(passage)


def _texts_of(passage: Passage) -> tuple[str, ...]:
    return passage.title, passage.source or "", passage.heading, passage.text


def _restored(answer: ChatAnswer, placeholders: Placeholders, request: ChatRequest) -> ChatAnswer:
    return replace(answer, text=placeholders.restored(answer.text, is_json=request.json_schema is not None))
