"""nginx's generated configuration follows from functions.json, the routes and the problem types."""

import re
from pathlib import Path

import pytest

from infra.nginx.generate import FOLDER, REFUSALS, upstreams, written
from local.catalogue import FunctionEntry, load_catalogue

ENTRIES = load_catalogue()
NGINX_CONF = (FOLDER / "nginx.conf").read_text()


def entry(**fields: object) -> FunctionEntry:
    return ENTRIES[0].model_copy(update=fields)


@pytest.mark.parametrize("path", written(ENTRIES), ids=lambda path: path.name)
def test_what_is_checked_in_is_what_the_generator_writes(path: Path) -> None:
    assert path.read_text() == written(ENTRIES)[path], "run python -m infra.nginx.generate"


def test_nothing_else_lies_among_the_generated_files() -> None:
    assert set((FOLDER / "generated").iterdir()) == {
        path for path in written(ENTRIES) if path.parent.name == "generated"
    }


def test_a_new_function_gets_its_upstream_location_and_label() -> None:
    files = {path.name: text for path, text in written([*ENTRIES, entry(name="tax", paths=("/api",))]).items()}
    assert "upstream tax {\n    server tax:8080;\n}" in files["upstreams.conf"]
    assert "proxy_pass http://tax;" in files["locations.conf"]
    assert '"~^/api(?:[/?]|$)" tax;' in files["maps.conf"]


def test_of_two_paths_that_begin_alike_the_longer_one_comes_first() -> None:
    files = {path.name: text for path, text in written([entry(name="short", paths=("/api",)), entry()]).items()}
    assert files["locations.conf"].index("/api/query(?:/|$)") < files["locations.conf"].index("/api(?:/|$)")


def test_a_path_at_which_the_function_has_no_route_is_refused() -> None:
    with pytest.raises(ValueError, match=r"functions\.json: query: paths: /api/query/deep: no route"):
        written([entry(paths=("/api/query/deep",))])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b"}, "name: 'a b' is not of the form"),
        ({"name": "x;y"}, "name: 'x;y' is not of the form"),
        ({"paths": ("/api/{id}",)}, "paths: '/api/{id}' is not of the form"),
        ({"paths": ("/api/query; return 200",)}, "paths: "),
        ({"name": "other", "paths": ("/api/documents",)}, "paths: /api/documents stands there twice"),
        ({"name": "documents", "paths": ("/api/more",)}, "name: documents stands there twice"),
    ],
)
def test_what_would_be_something_else_to_nginx_is_refused_by_its_field(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"functions.json: {re.escape(message)}"):
        written([entry(**fields), *ENTRIES[1:]])


def test_each_status_of_nginxs_own_is_one_problem() -> None:
    statuses = [status for refusal in REFUSALS for status in refusal.on]
    assert len(statuses) == len(set(statuses))
    assert set(statuses) >= {400, 404, 405, 413, 414, 429, 494, 497, 500, 502, 503, 504}
    for refusal in REFUSALS:
        assert refusal.status >= 400


def test_an_old_worker_outlives_the_slowest_function() -> None:
    (seconds,) = re.findall(r"worker_shutdown_timeout (\d+)s;", NGINX_CONF)
    assert int(seconds) > max(one.timeout_seconds for one in ENTRIES)


def test_an_upstream_may_have_several_instances() -> None:
    assert "upstream query {\n    server a:1;\n    server b:2;\n}\n" in upstreams({"query": ["a:1", "b:2"]})
