import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.knowledge.rules import check_documents
from common.knowledge.store import Document, PutResult
from common.problems import FieldError, InvalidRequest, Unavailable
from local.ingest import BATCH_CHARACTERS, BATCH_DOCUMENTS, BadPath, Failure, find, ingest


@dataclass
class Store:
    """Accepts what it has no reason to refuse; each text is one chunk."""

    batches: list[list[Document]] = field(default_factory=list)
    refused: tuple[str, ...] = ()

    def put(self, documents: Sequence[Document]) -> PutResult:
        bad = [number for number, document in enumerate(documents) if document.id in self.refused]
        if bad:
            raise InvalidRequest(errors=[FieldError(pointer=f"/documents/{bad[0]}/text", detail="no words")])
        known = {document.id for batch in self.batches for document in batch}
        self.batches.append(list(documents))
        new = sum(document.id not in known for document in documents)
        return PutResult(documents=len(documents), chunks=len(documents), unchanged=len(documents) - new)


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.", encoding="utf-8")
    return folder


def ids(paths: Sequence[Path], base: Path | None = None) -> list[str]:
    return [source.document_id for source in find(paths, base).sources]


def test_ids_are_paths_below_the_named_folder_without_the_suffix(tmp_path: Path) -> None:
    tree(tmp_path, "rules/12-cfr-1002/1002.6-Interp.md", "rules/12-cfr-1002/1002.6.md", "rules/a.TXT")
    assert ids([tmp_path / "rules"]) == ["a", "12-cfr-1002/1002.6-Interp", "12-cfr-1002/1002.6"]


def test_a_file_named_by_itself_has_its_own_name(tmp_path: Path) -> None:
    tree(tmp_path, "rules/1002.6.md")
    assert ids([tmp_path / "rules" / "1002.6.md"]) == ["1002.6"]


def test_ids_begin_below_the_base_where_one_is_given(tmp_path: Path) -> None:
    tree(tmp_path, "rules/b/1002.6.md", "rules/c.md")
    assert ids([tmp_path / "rules" / "b", tmp_path / "rules" / "c.md"], tmp_path) == ["rules/b/1002.6", "rules/c"]


def test_a_path_that_is_not_there_or_not_below_the_base_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "a.md", "b/c.md")
    for path, base, reason in [
        (tmp_path / "nowhere", None, "no such file or folder"),
        (tmp_path / "a.md", tmp_path / "b", f"not below {tmp_path / 'b'}"),
        (Path("/dev/null"), None, "neither a file nor a folder"),
    ]:
        with pytest.raises(BadPath) as refused:
            find([path], base)
        assert str(refused.value) == f"{path}: {reason}"


def test_other_formats_are_counted_and_hidden_files_passed_over(tmp_path: Path) -> None:
    found = find([tree(tmp_path, "a.md", "b.png", "Makefile", ".git/c.md", ".hidden.md")])
    assert ([source.document_id for source in found.sources], found.ignored) == (["a"], 2)


def test_two_files_of_one_id_are_not_both_taken(tmp_path: Path) -> None:
    found = find([tree(tmp_path, "a.md", "a.txt")])
    assert [source.path.name for source in found.sources] == ["a.md"]
    assert found.failures == (
        Failure(path=tmp_path / "a.txt", reason=f"its id, a, is already that of {tmp_path / 'a.md'}"),
    )


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    tree(tmp_path, "a.md")
    found = find([tmp_path, tmp_path / "a.md"])
    assert (len(found.sources), found.failures) == (1, ())


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    tree(tmp_path, "sub/a.md")
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    found = find([tmp_path])
    assert [source.document_id for source in found.sources] == ["loop", "sub/a"]
    outcome = ingest(found, Store().put, max_characters=1_000)
    assert outcome.failures == (Failure(path=tmp_path / "loop.md", reason="Too many levels of symbolic links"),)


def test_a_link_out_of_the_folder_is_named_and_not_read(tmp_path: Path) -> None:
    tree(tmp_path, "given/a.md", "elsewhere/secret.md")
    (tmp_path / "given" / "link.md").symlink_to(tmp_path / "elsewhere" / "secret.md")
    (tmp_path / "given" / "within.md").symlink_to(tmp_path / "given" / "a.md")
    found = find([tmp_path / "given"])
    assert [source.document_id for source in found.sources] == ["a", "within"]
    assert [failure.reason for failure in found.failures] == ["is a link to a file outside the folder"]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    assert find([tmp_path]).ignored == 1


@pytest.mark.parametrize(
    ("name", "document_id"),
    [
        ("Lending Policy & Limits (2026).md", "Lending-Policy-Limits-(2026)"),
        ("Über uns/Grundstück #1.md", "Uber-uns/Grundstuck-1"),
        ("\N{CJK UNIFIED IDEOGRAPH-4E2D}.md", "~4e2d"),
        ("line\nend.md", "line-end"),
    ],
)
def test_other_characters_of_a_path_are_put_into_those_of_ids(tmp_path: Path, name: str, document_id: str) -> None:
    found = find([tree(tmp_path, name)])
    assert [source.document_id for source in found.sources] == [document_id]
    check_documents([Document(id=document_id, title="t", text="t", metadata={})])


def test_a_name_that_is_no_utf_8_makes_an_id_too(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.md")).write_text("text", encoding="utf-8")
    assert ids([tmp_path]) == ["~dcff"]


def test_a_folder_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a.md", "closed/b.md")
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find([tmp_path])
    assert found.failures == (Failure(path=tmp_path / "closed", reason="Permission denied"),)
    assert len(found.sources) == 1


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    tree(tmp_path, "a.md", "c.md")
    (tmp_path / "b.md").write_bytes(b"")
    store = Store()
    done: list[int] = []
    outcome = ingest(find([tmp_path]), store.put, max_characters=1_000, progress=done.append)
    assert outcome.failures == (Failure(path=tmp_path / "b.md", reason="empty"),)
    assert [document.id for batch in store.batches for document in batch] == ["a", "c"]
    assert sum(done) == 3
    assert str(outcome) == "2 documents, 2 chunks, 0 unchanged, 1 could not be read"


def test_a_document_that_the_store_refuses_does_not_take_its_batch_along(tmp_path: Path) -> None:
    store = Store(refused=("b",))
    outcome = ingest(find([tree(tmp_path, "a.md", "b.md", "c.md", "d.png")]), store.put, max_characters=1_000)
    assert outcome.failures == (Failure(path=tmp_path / "b.md", reason="refused: /documents/0/text no words"),)
    assert str(outcome) == "2 documents, 2 chunks, 0 unchanged, 1 could not be read, 1 ignored"


def test_a_store_that_is_down_stops_it(tmp_path: Path) -> None:
    def down(_documents: Sequence[Document]) -> PutResult:
        raise Unavailable

    with pytest.raises(Unavailable):
        ingest(find([tree(tmp_path, "a.md")]), down, max_characters=1_000)


def test_again_is_unchanged(tmp_path: Path) -> None:
    store = Store()
    found = find([tree(tmp_path, "a.md", "b.md")])
    ingest(found, store.put, max_characters=1_000)
    assert str(ingest(found, store.put, max_characters=1_000)) == (
        "2 documents, 2 chunks, 2 unchanged, 0 could not be read"
    )


def test_batches_are_bounded_in_documents_and_in_characters(tmp_path: Path) -> None:
    tree(tmp_path, *(f"small/{number:02}.md" for number in range(BATCH_DOCUMENTS + 1)))
    (tmp_path / "large").mkdir()
    for name in "abc":
        (tmp_path / "large" / f"{name}.md").write_text("x" * (BATCH_CHARACTERS // 2), encoding="utf-8")
    store = Store()
    done: list[int] = []
    ingest(find([tmp_path]), store.put, max_characters=BATCH_CHARACTERS, progress=done.append)
    assert [len(batch) for batch in store.batches] == [2, BATCH_DOCUMENTS, 2]
    assert done == [2, BATCH_DOCUMENTS, 2]


def test_a_file_is_not_counted_before_it_is_stored(tmp_path: Path) -> None:
    events: list[str] = []

    def put(documents: Sequence[Document]) -> PutResult:
        events.append(f"stored {len(documents)}")
        return PutResult(documents=len(documents), chunks=0, unchanged=0)

    ingest(find([tree(tmp_path, "a.md")]), put, max_characters=1_000, progress=lambda n: events.append(f"counted {n}"))
    assert events == ["stored 1", "counted 1"]


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    store = Store()
    outcome = ingest(find([tmp_path]), store.put, max_characters=1_000)
    assert str(outcome) == "0 documents, 0 chunks, 0 unchanged, 0 could not be read"
    assert store.batches == []
