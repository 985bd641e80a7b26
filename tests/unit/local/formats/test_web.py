import time
from pathlib import Path

import pytest

from local.formats.content import Content, Unreadable
from local.formats.web import read_html


def read(folder: Path, html: str | bytes) -> Content:
    path = folder / "page.html"
    path.write_bytes(html if isinstance(html, bytes) else html.encode())
    return read_html(path, 1_000_000)


PAGE = """<!doctype html>
<html><head><title>Agency - Limits</title><link rel="canonical" href="https://agency.example/limits">
<style>p { color: red }</style></head>
<body><nav><a href="/">Home</a></nav><header><h1>Supervisory <em>limits</em></h1></header>
<!-- draft -->
<p>The limit for raw land
is&nbsp;<b>65</b>%.<br>It is supervisory.</p>
<h2>Categories</h2>
<ul><li>raw land</li><li><p>improved property</p><ol type="a"><li>existing</li><li>new</li></ol></li></ul>
<ol start="3"><li>third</li><li>fourth</li></ol>
<table><caption>In percent</caption>
<thead><tr><th># category</th><th>limit</th></tr></thead>
<tbody><tr><td>raw land<button>Sort</button></td><td>65</td></tr><tr><td> </td><td></td></tr></tbody></table>
<pre>LTV = loan / value
    in percent</pre>
<script>track()</script>
<div aria-hidden="true">x</div><p hidden>y</p><div role="search">z</div><footer>Imprint</footer></body></html>"""


def test_a_page_keeps_its_structure_and_loses_its_furniture(tmp_path: Path) -> None:
    content = read(tmp_path, PAGE)
    assert content.text == (
        "# Supervisory limits\n\n"
        "The limit for raw land is 65%.\nIt is supervisory.\n\n"
        "## Categories\n\n"
        "- raw land\n- improved property\n  (a) existing\n  (b) new\n"
        "3. third\n4. fourth\n\n"
        "In percent\n\n"
        "\\# category | limit\nraw land | 65\n\n"
        "LTV = loan / value\n    in percent"
    )
    assert (content.title, content.source) == ("Supervisory limits", "https://agency.example/limits")


def test_the_main_part_is_taken_where_a_page_marks_it(tmp_path: Path) -> None:
    assert read(tmp_path, "<body><div>Menu</div><main><p>Text</p></main></body>").text == "Text"


def test_without_a_heading_the_page_s_title_is_the_title(tmp_path: Path) -> None:
    content = read(tmp_path, "<title>Raw\n land</title><p>65 %</p>")
    assert (content.title, content.source, content.text) == ("Raw land", None, "65 %")


def test_a_table_that_lays_out_the_page_is_read_as_blocks(tmp_path: Path) -> None:
    html = (
        "<table><tr><td><h2>Left</h2><p>One.</p></td><td><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>"
    )
    assert read(tmp_path, html).text == "## Left\n\nOne.\n\na | b"


def test_roman_lists_count_on_past_ten(tmp_path: Path) -> None:
    marks = read(tmp_path, f"<ol type=i>{'<li>x' * 14}</ol>").text
    assert [line.split()[0] for line in marks.split("\n")][8:] == ["(ix)", "(x)", "(xi)", "(xii)", "(xiii)", "(xiv)"]


def test_a_list_longer_than_the_alphabet_goes_on_in_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, f"<ol type=A start=26>{'<li>x</li>' * 2}</ol>").text == "(Z) x\n27. x"


def test_an_item_outside_a_list_is_still_an_item(tmp_path: Path) -> None:
    assert read(tmp_path, "<li>alone</li>").text == "- alone"


def test_a_page_nested_ten_thousand_deep_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "<div>" * 10_000 + "deep" + "</div>" * 10_000).text == "deep"


@pytest.mark.parametrize("declared", ["iso-8859-1", "windows-1252"])
def test_the_encoding_that_a_page_declares_is_used(tmp_path: Path, declared: str) -> None:
    html = f'<meta charset="{declared}"><p>Grundstück</p>'
    assert read(tmp_path, html.encode(declared)).text == "Grundstück"


@pytest.mark.parametrize("declaration", ["", '<meta charset="utf-8">', '<meta charset="no-such-thing">'])
def test_bytes_that_fit_no_declaration_are_named(tmp_path: Path, declaration: str) -> None:
    with pytest.raises(Unreadable, match=r"^not .* text$"):
        read(tmp_path, declaration.encode() + "<p>Grundstück</p>".encode("latin-1"))


@pytest.mark.parametrize("opening", ["<!--", "<a ", "<a b='", "</a", "<?", "<a"])
def test_markup_that_never_ends_is_refused_at_once(tmp_path: Path, opening: str) -> None:
    with pytest.raises(Unreadable, match="do not end"):
        read(tmp_path, "<p>A lien.</p><!-- one -->" + opening * 10_000)


def test_a_page_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    assert read(tmp_path, "<p>A lien.</p><p>A claim if 3 < 4 <b").text.startswith("A lien.\n\nA claim if 3 < 4")


def test_rows_and_cells_that_nobody_closes_are_rows_and_cells(tmp_path: Path) -> None:
    html = "<table><caption>Limits<tr><th>Kind<th>Limit<tr> <td>raw <b>land</b><td>65<tr>"
    assert read(tmp_path, html).text == "Limits\n\nKind | Limit\nraw land | 65"


@pytest.mark.parametrize("opening", ["<table>", "<tr>", "<tr><td>x", "<td>x", "<caption>x"])
def test_a_table_nested_ten_thousand_deep_is_read_at_once(tmp_path: Path, opening: str) -> None:
    started = time.process_time()
    assert read(tmp_path, "<table>" + opening * 10_000 + "<tr><td>deep").text.endswith("deep")
    assert time.process_time() - started < 10  # it was minutes
