"""The emulator as `make run` starts it: a process of its own, asked over HTTP, ended by a signal."""

import json
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from local.emulator import EXAMPLE_QUESTION
from tests.emulators import COMMAND, ROOT, STOP_SECONDS, Emulator, emulator, environment, first_emulator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with first_emulator(tmp_path_factory.mktemp("emulator")) as started:
        yield started


def refused(folder: Path, **settings: str) -> str:
    """What an emulator that must not start says, in its one line."""
    ended = subprocess.run(
        COMMAND, cwd=folder, env=environment(folder / "data", **settings), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    return ended.stderr.strip()


def test_the_printed_curl_gets_a_cited_answer(running: Emulator) -> None:
    command = shlex.split(next(line for line in running.said.splitlines() if "curl" in line))
    assert command[:3] == ["curl", "-s", f"{running.url}/api/query"]
    body = command[command.index("-d") + 1]
    assert json.loads(body) == {"message": EXAMPLE_QUESTION}
    answer = httpx.post(command[2], content=body, headers={"Content-Type": "application/json"}, timeout=30).json()
    assert answer["answered"], answer
    assert "65%" in answer["answer"]
    assert answer["citations"][0]["document_id"] == "construction-and-land-loans"


def test_all_state_is_below_the_data_folder(running: Emulator) -> None:
    assert (running.data / "database" / "loan_collateral.db").is_file()
    assert (running.data / "chroma").is_dir()
    assert list(running.cwd.iterdir()) == []


def test_eight_clients_at_once_lose_nothing(running: Emulator) -> None:
    def ask(number: int) -> tuple[int, str]:
        response = httpx.post(f"{running.url}/api/query", json={"message": EXAMPLE_QUESTION}, timeout=60)
        return response.status_code, response.json()["request_id"]

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(ask, range(24)))
    assert {status for status, _ in answers} == {200}
    assert len({request_id for _, request_id in answers}) == 24


def test_a_document_put_in_by_one_function_is_found_by_the_other(running: Emulator) -> None:
    document = {
        "id": "tests/zebra+stable@1", "title": "Zebra stables",
        "text": "A zebra stable is valued at 12,345 dollars per stall when it secures a loan.",
    }  # fmt: skip
    url = f"{running.url}/api/documents"
    assert httpx.post(url, json={"documents": [document]}, timeout=30).json()["documents"] == 1
    address = f"{url}/tests/zebra%2Bstable%401"
    assert httpx.get(address).json()["title"] == "Zebra stables"
    asked = {"message": "At how many dollars per stall is a zebra stable valued?", "agent": "knowledge"}
    answer = httpx.post(f"{running.url}/api/query", json=asked, timeout=30).json()
    assert [citation["document_id"] for citation in answer["citations"]][:1] == ["tests/zebra+stable@1"]
    assert httpx.delete(address).status_code == 204
    assert httpx.get(address).status_code == 404


def test_an_unknown_path_is_a_problem_document(running: Emulator) -> None:
    response = httpx.get(f"{running.url}/nowhere")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["request_id"] == response.headers["X-Request-ID"]


def test_each_function_lives_and_all_are_described(running: Emulator) -> None:
    assert httpx.get(f"{running.url}/query/live").json() == {"status": "alive"}
    assert {"/api/query", "/api/documents"} <= httpx.get(f"{running.url}/openapi.json").json()["paths"].keys()


def test_a_connection_is_kept_for_the_next_request(running: Emulator) -> None:
    with httpx.Client() as client:
        first = client.get(f"{running.url}/live").extensions["network_stream"].get_extra_info("socket").fileno()
        second = client.get(f"{running.url}/live").extensions["network_stream"].get_extra_info("socket").fileno()
    assert first == second


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_the_next_start_finds_everything_in_place(
    tmp_path: Path, number: signal.Signals
) -> None:
    with first_emulator(tmp_path) as first, httpx.Client() as client:
        assert client.get(f"{first.url}/live").status_code == 200
        first.process.send_signal(number)
        last = first.last_words()
        assert first.process.returncode == 0, last
        assert "Traceback" not in last
    with emulator(tmp_path) as second:
        loaded = re.search(r"knowledge\.loaded.*documents=(\d+).*unchanged=(\d+)", second.said)
        assert loaded
        assert loaded[1] == loaded[2]


def test_a_signal_in_the_middle_of_the_start_ends_it_cleanly(tmp_path: Path) -> None:
    with subprocess.Popen(
        COMMAND,
        env=environment(tmp_path / "data"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        while not (tmp_path / "data" / "database").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=STOP_SECONDS)[0]
    assert (process.returncode, "Traceback" in said) == (0, False), said


def test_a_port_in_use_is_named_with_how_to_move_it(tmp_path: Path, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        line = refused(tmp_path, PORT=str(free_port))
    assert line.startswith(f"loancheck: port {free_port} on 127.0.0.1 is in use: choose another with PORT")
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    line = refused(tmp_path, DATA_DIR=str(tmp_path / "file" / "data"))
    assert line.startswith(f"loancheck: DATA_DIR={tmp_path}/file/data cannot be written to (Not a directory)")


def test_a_price_file_that_is_not_there_is_named_before_the_port_opens(tmp_path: Path) -> None:
    assert "PRICE_FILE" in refused(tmp_path, PRICE_FILE=str(tmp_path / "none.json"))


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, ANSWER_WORDS="many").startswith("loancheck: ANSWER_WORDS: ")


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path, free_port: int) -> None:
    line = refused(tmp_path, DATABASE_URL=f"postgresql://user:s3cret@127.0.0.1:{free_port}/loans")
    assert "the database cannot be used (OperationalError)" in line
    assert "s3cret" not in line


def test_without_its_vector_server_it_starts_and_says_what_is_missing(tmp_path: Path, free_port: int) -> None:
    with emulator(tmp_path, CHROMA_URL=f"http://127.0.0.1:{free_port}") as started:
        assert "knowledge.not_loaded" in started.said
        assert httpx.get(f"{started.url}/query/live").status_code == 200


def test_whoever_listens_to_other_machines_asks_for_keys(tmp_path: Path) -> None:
    with emulator(tmp_path, HOST="0.0.0.0") as exposed:
        assert exposed.url.startswith("http://127.0.0.1:")
        assert "access.anonymous" not in exposed.said
        assert "loancheck keys create" in exposed.said
        assert httpx.post(f"{exposed.url}/api/query", json={"message": "Hello"}).status_code == 401


@pytest.mark.parametrize("settings", [{"HOST": "0.0.0.0"}, {"ENVIRONMENT": "production"}])
def test_it_does_not_start_where_everybody_would_be_let_in(tmp_path: Path, settings: dict[str, str]) -> None:
    assert "ANONYMOUS" in refused(tmp_path, ANONYMOUS="true", **settings)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ADDRESS_LIMIT", "plenty"), ("GOOGLE_ACCOUNTS", "scheduler@example.com=owner"), ("REDIS_URL", "http://cache"),
        ("GOOGLE_CERTS_URL", "http://keys.example.com"), ("CORS_ORIGINS", "https://*.example.com"),
        ("KEY_FILE", "/nowhere/key"),
    ],
)  # fmt: skip
def test_a_setting_of_the_way_in_that_cannot_be_used_stops_the_start(tmp_path: Path, setting: str, value: str) -> None:
    environment = "production" if setting == "KEY_FILE" else "development"
    line = refused(tmp_path, **{setting: value, "ENVIRONMENT": environment})
    assert line.startswith(f"loancheck: {setting}:"), line
    assert value not in line


def test_loancheck_ask_prints_the_cited_answer(running: Emulator) -> None:
    ended = subprocess.run(
        [*COMMAND[:-1], "ask", EXAMPLE_QUESTION, "--url", running.url],
        env=environment(running.data), cwd=running.cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^\[1\] .* \(construction-and-land-loans\): \".*65%", ended.stdout, re.MULTILINE), ended.stdout
    assert re.search(
        r"^\(answered; agent \w+; confidence [01]\.\d\d; model extractive; cost 0\S* USD\)$", ended.stdout, re.M
    )


def test_loancheck_migrate_says_whether_there_was_anything_to_do(tmp_path: Path) -> None:
    def migrate() -> str:
        command = [*COMMAND[:-1], "migrate"]
        ended = subprocess.run(
            command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return ended.stdout

    assert re.fullmatch(r"The schema went from version none to \d{4}\.\n", migrate())
    assert re.fullmatch(r"The schema is at version \d{4} already\.\n", migrate())
