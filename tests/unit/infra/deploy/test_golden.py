"""Files of golden questions."""

from pathlib import Path

import pytest

from infra.deploy.environment import Refused
from infra.deploy.golden import SAMPLE, read_questions


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"question": "Q?", "phrases": ["65"]', ":1: line: Invalid JSON"),
        ('{"phrases": ["65"]}', ":1: question: Field required"),
        ('\n{"question": "Q?", "phrases": ["65"], "answer": "65"}', ":2: answer: Extra inputs are not permitted"),
        ('{"question": "Q?"}', "phrases or documents must be given, unless answered is false"),
        ('{"question": "Q?", "answered": false, "phrases": ["65"]}', "phrases or documents must be given, unless"),
        ("\n\n", "holds no question"),
    ],
)
def test_a_file_that_asks_nothing_is_refused_by_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(text)
    with pytest.raises(Refused, match=r"^golden: ") as refused:
        read_questions(path)
    assert said in str(refused.value)


def test_the_samples_questions_name_documents_that_are_there_and_one_has_no_answer() -> None:
    questions = read_questions(SAMPLE)
    knowledge = {path.stem for path in (Path(__file__).parents[4] / "knowledge").glob("*.md")}
    assert {document for one in questions for document in one.documents} <= knowledge
    assert [one.answered for one in questions].count(False) == 1
