"""`loancheck ingest` as a process, on real files, into a real database and index."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from docx import Document
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]
from sqlalchemy import create_engine, text

from tests.emulators import environment
from tests.gemini_server import GeminiServer

COMMAND = [sys.executable, "-m", "local.loancheck", "ingest"]


def ingest(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder / "data"),
        capture_output=True,
        text=True,
        check=False,
    )


def stored(folder: Path, tenant: str = "default") -> dict[str, str]:
    """Ids and texts of the tenant in the database."""
    engine = create_engine(f"sqlite:///{folder / 'data' / 'database' / 'loan_collateral.db'}")
    with engine.connect() as connection:
        query = text("SELECT id, text FROM documents WHERE tenant = :tenant")
        rows = connection.execute(query, {"tenant": tenant}).all()
    engine.dispose()
    return {row.id: row.text for row in rows}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """One readable file of each format, and one of each kind that cannot be read."""
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "limits.md").write_text("---\ntitle: Limits\n---\n# Limits\n\nRaw land: 65%.\n", encoding="utf-8")
    (folder / "note.txt").write_text("Appraisals are kept for five years.", encoding="utf-8")
    (folder / "page.html").write_text("<h1>Liens</h1><p>A lien is a claim.</p>", encoding="utf-8")
    (folder / "haircuts.csv").write_text("asset,haircut\ngold,15\n", encoding="utf-8")
    document = Document()
    document.add_paragraph("A guarantee is a promise.")
    document.save(str(folder / "guarantee.docx"))
    canvas = Canvas(str(folder / "policy.pdf"))
    canvas.drawString(72, 800, "A pledge needs possession.")
    canvas.save()
    (folder / "empty.md").write_bytes(b"")
    (folder / "latin.txt").write_bytes("Grundstück".encode("latin-1"))
    (folder / "binary.txt").write_bytes(b"\0\1\2")
    (folder / "limits.txt").write_text("x" * 20_000_000, encoding="utf-8")
    (folder / "note.md").write_text("A second file of that id.", encoding="utf-8")
    scan = Canvas(str(folder / "scan.pdf"))
    scan.rect(10, 10, 100, 100, fill=1)
    scan.save()
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def test_what_can_be_read_is_stored_and_the_rest_named(tmp_path: Path, files: Path) -> None:
    ended = ingest(tmp_path, "files")
    assert ended.stdout == "6 documents, 6 chunks, 0 unchanged, 6 could not be read, 1 ignored\n"
    assert sorted(ended.stderr.splitlines()) == [
        "loancheck: could not read files/binary.txt: binary, not text",
        "loancheck: could not read files/empty.md: empty",
        "loancheck: could not read files/latin.txt: not UTF-8 text",
        "loancheck: could not read files/limits.txt: too large: more than 5,000,000 characters of text",
        "loancheck: could not read files/note.txt: its id, note, is already that of files/note.md",
        "loancheck: could not read files/scan.pdf: no text in it: scanned pages need text recognition first",
    ]
    assert ended.returncode == 1
    assert stored(tmp_path) == {
        "guarantee": "A guarantee is a promise.",
        "haircuts": "asset: gold; haircut: 15",
        "note": "A second file of that id.",
        "page": "# Liens\n\nA lien is a claim.",
        "policy": "A pledge needs possession.",
        "sub/limits": "# Limits\n\nRaw land: 65%.",
    }


def test_again_nothing_changes_and_a_changed_file_replaces_its_document(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.md").write_text(f"Rule {name} holds.", encoding="utf-8")
    assert ingest(tmp_path, "rules").stdout == "2 documents, 2 chunks, 0 unchanged, 0 could not be read\n"
    (folder / "a.md").write_text("Rule a has changed.", encoding="utf-8")
    again = ingest(tmp_path, "rules")
    assert (again.stdout, again.returncode) == ("2 documents, 2 chunks, 1 unchanged, 0 could not be read\n", 0)
    assert stored(tmp_path) == {"a": "Rule a has changed.", "b": "Rule b holds."}


def test_each_tenant_has_its_own_documents_and_who_stored_them_is_audited(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Rule of acme.", encoding="utf-8")
    assert ingest(tmp_path, "a.md", "--tenant", "acme").returncode == 0
    (tmp_path / "a.md").write_text("Rule of all.", encoding="utf-8")
    assert ingest(tmp_path, "a.md").returncode == 0
    assert (stored(tmp_path, "acme"), stored(tmp_path)) == ({"a": "Rule of acme."}, {"a": "Rule of all."})
    engine = create_engine(f"sqlite:///{tmp_path / 'data' / 'database' / 'loan_collateral.db'}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT tenant, actor, action, outcome, facts FROM audit_events")).all()
    engine.dispose()
    facts = '{"documents":1,"ids":["a"]}'
    assert rows == [(tenant, "cli", "document.stored", "done", facts) for tenant in ("acme", "default")]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["rules", "nowhere"], "nowhere: no such file or folder"),
        (["rules", "--base", "elsewhere"], "rules: not below elsewhere"),
        (
            ["rules", "--tenant", "A Corp"],
            "a tenant's name is 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit",
        ),
        ([], "Missing argument 'PATH...'. See loancheck --help."),
    ],
)
def test_a_path_that_cannot_be_used_stops_before_anything_is_stored(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.md").write_text("Rule a.", encoding="utf-8")
    ended = ingest(tmp_path, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"loancheck: {reason}\n")
    assert not (tmp_path / "data").exists()


def test_on_a_terminal_a_bar_counts_and_ctrl_c_leaves_whole_documents(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    words = "The lender shall keep the notice for five years after the action. "
    for number in range(400):
        (folder / f"{number:03}.md").write_text(f"Rule {number}. " + words * 60, encoding="utf-8")
    parent, child = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "rules"], cwd=tmp_path, env=environment(tmp_path / "data", TERM="xterm", COLUMNS="100"),
        stdout=subprocess.PIPE, stderr=child, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(child)
        seen = b""
        while b" 16/400" not in seen and b" 32/400" not in seen:
            seen += os.read(parent, 10_000)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    rest = os.read(parent, 100_000)
    os.close(parent)
    assert b"Traceback" not in rest
    assert b"stopped" in rest
    kept = stored(tmp_path)
    assert 16 <= len(kept) < 400
    assert all(text == f"Rule {int(number)}. " + (words * 60).strip() for number, text in kept.items())


def test_what_a_paid_embedder_costs_is_in_the_ledger_under_the_command(tmp_path: Path, files: Path) -> None:
    with GeminiServer() as gemini:
        paid = {
            "GEMINI_API_KEY": gemini.api_key, "GEMINI_BASE_URL": gemini.url, "EMBEDDING_MODEL": "gemini-embedding-001",
        }  # fmt: skip
        done = subprocess.run(
            [*COMMAND, str(files / "note.txt")], cwd=tmp_path, env=environment(tmp_path / "data", **paid),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    engine = create_engine(f"sqlite:///{tmp_path / 'data' / 'database' / 'loan_collateral.db'}")
    with engine.connect() as connection:
        entries = connection.execute(text("SELECT tenant, principal, route, step, cost_usd FROM ledger_entries")).all()
        left = connection.execute(text("SELECT count(*) FROM open_calls")).scalar_one()
    engine.dispose()
    assert {tuple(entry)[:4] for entry in entries} == {("default", "cli", "loancheck ingest", "embed")}
    assert left == 0
