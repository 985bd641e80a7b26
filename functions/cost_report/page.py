"""The report as one HTML page: readable without JavaScript, and without any other request.

Served, its scripts and styles carry the nonce of `common.security.headers.page_policy`. In an archive there are no
headers: there the page states its own policy, with the hashes of its scripts and styles.
"""

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from markupsafe import Markup

from functions.cost_report import page_numbers
from functions.cost_report.models import DIMENSIONS, Report
from functions.cost_report.page_view import chart_data, page_view

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent
_TEMPLATES = _FOLDER / "templates"
_LIBRARY = _FOLDER / "vendor" / "uplot"


def render(report: Report, *, nonce: str | None) -> bytes:
    """The page in UTF-8. `nonce` is the request's (`call.nonce`); None makes a page for an archive."""
    page = _environment().get_template("page.html.jinja")
    view = page_view(report)
    text = page.render(
        report=report,
        view=view,
        chart_data=chart_data(report, view),
        nonce=nonce,
        policy=_policy_of_a_file() if nonce is None else None,
        style=_style(),
        scripts=_scripts(),
        dimensions=DIMENSIONS,
        link=lambda **changed: _link(report, changed),
    )
    return text.encode()


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    names = ("usd", "minutes", "percent", "days", "count", "moment", "day", "all_tokens")
    environment.filters.update({name: getattr(page_numbers, name) for name in names})
    return environment


@functools.cache
def _style() -> Markup:
    """What stands in the page's style block. It is ours as it lies here: nothing of a report is put into it."""
    return _block(_read(_LIBRARY / "uPlot.min.css") + _read(_TEMPLATES / "page.css"))


@functools.cache
def _scripts() -> tuple[Markup, ...]:
    """The page's script blocks: the chart library with its licence, which asks to go along, and our own."""
    licence = _read(_LIBRARY / "LICENSE")
    library = f"/*! uPlot\n{licence}\n*/\n{_read(_LIBRARY / 'uPlot.iife.min.js')}"
    return _block(library), _block(_read(_TEMPLATES / "page.js"))


@functools.cache
def _policy_of_a_file() -> str:
    """As `page_policy`, with hashes in place of the nonce; `frame-ancestors` has no meaning in a page itself."""
    scripts = " ".join(map(_hash_source, _scripts()))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash_source(_style())}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash_source(block: str) -> str:
    digest = hashlib.sha256(block.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _block(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - a file of ours


def _link(report: Report, changed: dict[str, str]) -> str:
    """The address of this report with some of its parameters `changed`, beside the page's own."""
    asked = {"period": report.period.label, "group_by": report.group_by, "format": "html"}
    if report.tenant is not None:
        asked["tenant"] = report.tenant
    return "?" + urlencode(asked | changed)
