"""What the local Gemini server says when no test told it what to say: answers that the product can work with."""

import hashlib
import json
import math
import re
from typing import Any

Json = dict[str, Any]

_PASSAGE = re.compile(r'<passage(?: \w+)? number="(\d+)"[^>]*>\n(.*?)\n</passage[^>]*>', re.DOTALL)
_QUESTION = re.compile(r"<question[^>]*>\n(.*?)\n</question[^>]*>", re.DOTALL)
_SENTENCE = re.compile(r"[^.!?\n]*[^.!?\s][^.!?\n]*(?:[.!?](?!\s)[^.!?\n]*)*[.!?]?")
_WORD = re.compile(r"[a-z0-9]+")
_COMMON = frozenset(
    "a an and are as at be by for from how in is it of on or that the this to what when which with".split()
)


def reply(body: Json) -> str:
    """The text of a `generateContent` answer to `body`."""
    properties = _asked_properties(body)
    prompt = _last_turn(body)
    if {"answered", "answer", "citations"} <= properties:
        return json.dumps(draft(prompt))
    if properties:
        return json.dumps(_filled(_schema(body)))
    return "This is the local stand-in for Gemini."


def draft(prompt: str) -> Json:
    """An answer that is one sentence of the passages, verbatim: the one that shares most words with the question."""
    question = _QUESTION.search(prompt)
    wanted = _content_words(question[1] if question else prompt)
    sentences = [
        (len(wanted & _content_words(sentence)), int(number), sentence)
        for number, text in _PASSAGE.findall(prompt)
        for sentence in (found.strip() for found in _SENTENCE.findall(text))
    ]
    shared, number, sentence = max(sentences, key=lambda one: (one[0], -one[1]), default=(0, 0, ""))
    if not shared:
        return {"answered": False, "answer": "", "citations": []}
    return {
        "answered": True,
        "answer": f"{sentence} [{number}]",
        "citations": [{"passage": number, "quote": sentence}],
    }


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector of hashed words: texts that share words are similar, and the same text gives the same vector."""
    vector = [0.0] * dimensions
    for word in _WORD.findall(text.lower()):
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        vector[int.from_bytes(digest) % dimensions] += 1.0 if digest[0] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else [1.0] + [0.0] * (dimensions - 1)


def words(body: Json) -> int:
    """Words of everything that is asked, as a stand-in for tokens."""
    contents = [*body.get("contents", []), body.get("systemInstruction") or {}]
    return sum(len(part.get("text", "").split()) for one in contents for part in one.get("parts", []))


def _schema(body: Json) -> Json:
    config = body.get("generationConfig") or {}
    schema: Json = config.get("responseJsonSchema") or config.get("responseSchema") or {}
    return schema


def _asked_properties(body: Json) -> set[str]:
    return set(_schema(body).get("properties", {}))


def _last_turn(body: Json) -> str:
    return "".join(part.get("text", "") for part in body["contents"][-1]["parts"])


def _content_words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())) - _COMMON


# The types of a JSON schema, of Gemini's own dialect, and its numbers, which google-generativeai sends.
_KINDS = {"1": "string", "2": "number", "3": "integer", "4": "boolean", "5": "array", "6": "object"}


def _filled(schema: Json) -> Json:
    """An object of the asked shape: good marks, empty texts and lists."""
    definitions = schema.get("$defs", {})
    return {name: _value(one, definitions) for name, one in schema.get("properties", {}).items()}


def _value(schema: Json, definitions: Json) -> object:
    if "$ref" in schema:
        return _value(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "enum" in schema:
        return schema["enum"][0]
    kind = str(schema.get("type", "null")).lower()
    kind = _KINDS.get(kind, kind)
    if kind in ("number", "integer"):
        # a mark: 0.9 of 1, 9 of 10, 90 of 100
        top = schema.get("maximum", 1)
        return round(top * 0.9) if kind == "integer" and top > 1 else top * 0.9
    if kind == "object":
        return _filled({**schema, "$defs": definitions})
    return {"string": "", "boolean": True, "array": []}.get(kind)
