"""Files that `loancheck ingest` reads: any bytes are a document or `Unreadable`, soon, and in bounded memory."""

import resource
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.formats.content import Unreadable
from local.readers import READERS, read_document
from tests.fuzz.documents import BODY, part, pdf, repacked, valid
from tests.fuzz.profiles import examples
from tests.fuzz.targets import MOST_CHARACTERS, check_document

MOST_SECONDS = 10.0  # for one small file on a busy machine; a bomb takes minutes
MOST_MORE_MB = 250

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TOKENS = {
    ".md": b"--- # ``` a:&x[*x] !!python/object:os.system [a](b) === ? <<: - a: {",
    ".txt": b"\xff\xfe \xfe\xff \0 \xef\xbb\xbf \x0c \x85",
    ".html": b"< </ <!-- --> <![CDATA[ <!DOCTYPE <meta/charset=utf-7> <ol/start=99999999999> <table> <li> <main> <br> "
    b"&#x110000; &#0; <pre> <h1> <td/hidden> <tr> <caption> <template> </main> <?xml/encoding='zlib'?> ' \"",
    ".csv": b'" , ; \t | \n \r "" \0 =1+1',
    ".docx": b"PK\x03\x04 PK\x01\x02 PK\x05\x06 \xff\xff\xff\xff \0\0",
    ".pdf": b"obj endobj << >> [ ] R 1 2 3 /Kids /Parent /Length 9999999999 stream\n endstream xref trailer startxref "
    b"/Filter /FlateDecode /Outlines /Next /First ( ) /Encrypt -1",
}


@st.composite
def damaged(draw: st.DrawFn, suffix: str) -> bytes:
    """A valid file with pieces cut out, put in, turned over or swapped; or bytes of any kind."""
    raw = valid(suffix) if draw(st.integers(0, 5)) else b""
    pieces = st.sampled_from([*TOKENS[suffix].split(b" "), b" ", b"\n"]) | st.binary(max_size=8)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(raw)))
        end = at + draw(st.integers(0, 4) | st.integers(0, 400))
        raw = raw[:at] + b"".join(draw(st.lists(pieces, max_size=4))) + raw[end:]
    return raw


@pytest.mark.parametrize("suffix", READERS)
@examples(150)
@given(st.data())
def test_any_file_is_a_document_or_unreadable(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(data.draw(damaged(suffix)))
    check_document(path)


def test_each_valid_file_is_read_before_it_is_damaged(tmp_path: Path) -> None:
    for suffix in READERS:
        path = tmp_path / f"valid{suffix}"
        path.write_bytes(valid(suffix))
        assert "lien" in read_document(path, document_id="valid", max_characters=MOST_CHARACTERS).text.lower()


@examples(100)
@given(st.data())
def test_a_word_file_with_any_part_damaged_is_a_document_or_unreadable(tmp_path: Path, data: st.DataObject) -> None:
    names = [
        BODY,
        "word/styles.xml",
        "[Content_Types].xml",
        "_rels/.rels",
        "docProps/core.xml",
        "word/_rels/document.xml.rels",
    ]
    name = data.draw(st.sampled_from(names))
    raw = part(name)
    at = data.draw(st.integers(0, len(raw)))
    pieces = st.sampled_from(
        [b"<", b"&x;", b"<!DOCTYPE x [", b'xmlns:w=""', b"w:p", b"</w:body>", b"../", b"http://127.0.0.1:1/"]
    )
    changed = raw[:at] + data.draw(pieces | st.binary(max_size=5)) + raw[at + data.draw(st.integers(0, 300)) :]
    path = tmp_path / "any.docx"
    path.write_bytes(repacked({name: changed}))
    check_document(path)


def paragraph(inner: str) -> str:
    return f'<w:document xmlns:w="{W}"><w:body><w:p><w:r><w:t>{inner}</w:t></w:r></w:p></w:body></w:document>'


def entities(levels: int) -> bytes:
    """The billion laughs: each entity is ten of the one before."""
    declared = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels))
    return f'<!DOCTYPE x [<!ENTITY e0 "ha">{declared}]>{paragraph(f"&e{levels - 1};")}'.encode()


def with_secret(system: str) -> bytes:
    return f'<!DOCTYPE x [<!ENTITY secret SYSTEM "{system}">]>{paragraph("&secret;")}'.encode()


def nested(opening: str, closing: str, depth: int) -> bytes:
    return (opening * depth + "deep" + closing * depth).encode()


def looped_pdf(before: bytes, after: bytes) -> bytes:
    raw = pdf()
    assert before in raw
    return raw.replace(before, after)


def pdf_of(objects: dict[int, bytes], trailer: bytes = b"/Root 1 0 R") -> bytes:
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, content) for number, content in objects.items())
    return b"%PDF-1.7\n" + body + b"trailer\n<<" + trailer + b">>\nstartxref\n0\n%%EOF"


def stream(content: bytes, filters: bytes) -> bytes:
    return b"<</Length %d /Filter %s>>\nstream\n%s\nendstream" % (len(content), filters, content)


PAGE = {1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>"}
RELATIONS = (
    b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" '
    b'Target="image.png"/></Relationships>'
)
ONE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>"
FORM = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>"
XOBJECT = (
    b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>/Length 4>>\nstream\n/X Do\nendstream"
)
BOMBS: dict[str, Callable[[], bytes]] = {
    "spaces.docx": lambda: repacked({}, {BODY: 300}),
    "spaces in a part that nothing names.docx": lambda: repacked({}, {"word/media/image1.png": 300}),
    "spaces in an image.docx": lambda: repacked({"word/_rels/document.xml.rels": RELATIONS}, {"word/image.png": 300}),
    "spaces in the relations.docx": lambda: repacked({}, {"word/_rels/document.xml.rels": 300}),
    "spaces in a text of another name.docx": lambda: repacked(
        {
            "_rels/.rels": part("_rels/.rels").replace(BODY.encode(), b"word/document.bin"),
            "[Content_Types].xml": part("[Content_Types].xml").replace(BODY.encode(), b"word/document.bin"),
        },
        {"word/document.bin": 300},
    ),
    "many empty parts.docx": lambda: repacked({f"word/x{number}.xml": b"" for number in range(20_000)}),
    "entities.docx": lambda: repacked({BODY: entities(12)}),
    "entities in the styles.docx": lambda: repacked({"word/styles.xml": entities(12)}),
    "entities in the types.docx": lambda: repacked({"[Content_Types].xml": entities(12)}),
    "long entities.docx": lambda: repacked(
        {BODY: f'<!DOCTYPE x [<!ENTITY a "{"x" * 100_000}">]>{paragraph("&a;" * 10_000)}'.encode()}
    ),
    "deep.docx": lambda: repacked({BODY: nested(f'<w:p xmlns:w="{W}">', "</w:p>", 20_000)}),
    "deep.html": lambda: nested("<div><ul><li><b>", "", 10_000),
    "deep tables.html": lambda: nested("<table><tr><td>", "", 2_500),
    "open tags.html": lambda: b"<" * 150_000,
    "attributes.html": lambda: b"<p " + b"a='" * 40_000,
    "tags.html": lambda: b"<a " * 50_000,
    "ends.html": lambda: b"</a" * 50_000,
    "instructions.html": lambda: b"<?" * 75_000,
    "comments.html": lambda: b"<!--" * 40_000,
    "declarations.html": lambda: b"<!" * 75_000 + b"<![" * 20_000,
    "references.html": lambda: b"&#" * 75_000,
    "roman.html": lambda: b"<ol type=i start=999999><li>x</ol>" * 3_000,
    "rules.md": lambda: b"---\n" * 20_000,
    "aliases.md": lambda: (
        b"---\na: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (one, one, b",".join([b"*%c" % (one - 1)] * 9)) for one in range(98, 118))
        + b"---\nText"
    ),
    "deep.md": lambda: b"---\na: " + b"[" * 20_000 + b"\n---\nText",
    "keys.md": lambda: b"---\n" + b"? " * 20_000 + b"\n---\nText",
    "brackets.md": lambda: b"# " + b"[a](" * 20_000,
    "stars.md": lambda: b"# " + b"*_`" * 20_000,
    "quotes.csv": lambda: b'"' * 79_999,
    "columns.csv": lambda: b"," * 40_000 + b"\n" + b"x," * 19_000,
    "sniffer.csv": lambda: b'"a";' * 2_000 + b"'\n|\t," * 2_000,
    "outline loop.pdf": lambda: looped_pdf(b"/Outlines", b"/Outlines 1 0 R /Next 1 0 R /First 1 0 R /X"),
    "page loop.pdf": lambda: pdf_of({**PAGE, 2: b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"}),
    "deep pages.pdf": lambda: pdf_of(
        {1: PAGE[1]} | {number: b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (number + 1) for number in range(2, 3_000)}
    ),
    "wide pages.pdf": lambda: pdf_of(
        {1: PAGE[1]}
        | {number: b"<</Type/Pages/Count 9/Kids[%s]>>" % (b"%d 0 R " % (number + 1) * 10) for number in range(2, 12)}
        | {12: ONE}
    ),
    "form loop.pdf": lambda: pdf_of({**PAGE, 3: FORM, 4: b"<</Length 5>>\nstream\n/X Do\nendstream", 5: XOBJECT}),
    "indirect loop.pdf": lambda: pdf_of({**PAGE, 3: b"3 0 R"}),
    "length loop.pdf": lambda: pdf_of({**PAGE, 3: ONE, 4: b"<</Length 4 0 R>>\nstream\nx\nendstream"}),
    "deflated zeros.pdf": lambda: pdf_of(
        {**PAGE, 3: ONE, 4: stream(zlib.compress(b"\0" * 300_000_000, 9), b"/FlateDecode")}
    ),
    "deflated twice.pdf": lambda: pdf_of(
        {
            **PAGE,
            3: ONE,
            4: stream(zlib.compress(zlib.compress(b"(x) Tj " * 30_000_000, 9), 9), b"[/FlateDecode/FlateDecode]"),
        }
    ),
    "run lengths.pdf": lambda: pdf_of({**PAGE, 3: ONE, 4: stream(b"\x81x" * 1_000_000, b"/RunLengthDecode")}),
    "deep arrays.pdf": lambda: pdf_of({**PAGE, 3: b"[" * 50_000}),
    "deep names.pdf": lambda: pdf_of({**PAGE, 3: b"<</A" * 50_000}),
    "huge xref.pdf": lambda: (
        b"%PDF-1.7\nxref\n0 999999999\ntrailer\n<</Root 1 0 R/Size 999999999>>\nstartxref\n9\n%%EOF"
    ),
    "xref loop.pdf": lambda: b"%PDF-1.7\nxref\n0 0\ntrailer\n<</Root 1 0 R/Prev 9/Size 1>>\nstartxref\n9\n%%EOF",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_or_read_before_it_goes_off(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"bomb{Path(name).suffix}"
    path.write_bytes(BOMBS[name]())
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    check_document(path)
    assert time.process_time() - started < MOST_SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024 < MOST_MORE_MB


@pytest.mark.parametrize("system", ["file:///etc/passwd", "http://127.0.0.1:1/", "php://filter/x", "../secret.txt"])
def test_a_word_file_brings_nothing_from_elsewhere(tmp_path: Path, system: str) -> None:
    (tmp_path / "secret.txt").write_text("Jane Roe")
    path = tmp_path / "inside" / "any.docx"
    path.parent.mkdir()
    path.write_bytes(repacked({BODY: with_secret(system)}))
    with pytest.raises(Unreadable):
        read_document(path, document_id="any", max_characters=MOST_CHARACTERS)
