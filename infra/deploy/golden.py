"""Golden questions: what a new revision has to answer as it should before it gets a request of anybody else's.

A file of JSON Lines, one question a line:

    {"question": "...", "phrases": ["65", "five years|5 years"], "documents": ["a", "b"]}
    {"question": "...", "answered": false}

The answer has to hold each of the phrases (of those with a bar between, one), whatever their case, and to cite one of
the documents at least. With `answered` false it has to say that the documents hold no answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.deploy.environment import Refused
from infra.deploy.probing import Reply, fetch

SAMPLE = Path(__file__).with_name("golden.jsonl")  # for the sample knowledge base


class Question(BaseModel):
    """One question, and what its answer has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1)
    agent: str | None = None
    answered: bool = True
    phrases: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _asks_for_something(self) -> "Question":
        if self.answered != bool(self.phrases or self.documents):
            raise ValueError("phrases or documents must be given, unless answered is false")
        return self


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a file; empty lines are passed over.

    Raises:
        Refused: the file cannot be read, or a line is not a question.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"golden: {path} cannot be read ({type(error).__name__})") from None
    found = tuple(_question(path, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise Refused(f"golden: {path} holds no question")
    return found


def faults(url: str, headers: Mapping[str, str], questions: Sequence[Question]) -> Iterator[str | None]:
    """Ask each question of the query function at `url`: what is wrong with the answer, or None."""
    for question in questions:
        asked = {"message": question.question, **({"agent": question.agent} if question.agent else {})}
        reply = fetch(f"{url}/api/query", headers=headers, body=asked)
        wrong = _wrong(question, reply)
        yield f'"{question.question}": {wrong}' if wrong else None


def _wrong(question: Question, reply: Reply) -> str | None:
    if reply.status != 200:
        return str(reply)
    answer = reply.json()
    if answer.get("answered") is not question.answered:
        return "answered, and should not be" if answer.get("answered") else "not answered"
    text = str(answer.get("answer", "")).casefold()
    for phrase in question.phrases:
        if not any(one.casefold() in text for one in phrase.split("|")):
            return f'the answer does not hold "{phrase}"'
    cited = {one.get("document_id") for one in answer.get("citations", [])}
    if question.documents and not cited & set(question.documents):
        return f"none of {', '.join(question.documents)} is cited"
    return None


def _question(path: Path, number: int, line: str) -> Question:
    try:
        return Question.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "line"
        raise Refused(f"golden: {path}:{number}: {field}: {first['msg']}") from None
