"""Valid files of each format, small, to be damaged."""

import functools
import io
import zipfile
from collections.abc import Mapping

BODY = "word/document.xml"  # the part of a .docx that holds the text
MARKDOWN = b"---\ntitle: Liens\nsource: https://loans.example\n---\n# Liens\n\nA lien is a claim.\n\n```\n# code\n```\n"
HTML = (
    b"<!doctype html><html><head><meta charset=utf-8><title>Liens</title><body><nav>Home</nav><main><h1>Liens</h1>"
    b"<p>A lien &amp; a claim &#x41;</p><ul><li>one<ol type=a start=3><li>two</ol></ul><table><caption>Limits</caption>"
    b"<tr><th>Kind</th><td>65</td></tr></table><pre>  x\n y</pre><![CDATA[z]]><!-- no --></main></body></html>"
)
CSV = b'Kind,Limit\n"lien on raw land",65\n"with ""quotes""",75\n\n'


@functools.cache
def docx() -> bytes:
    from docx import Document

    document = Document()
    document.add_heading("Liens", 1)
    document.add_paragraph("A lien is a claim on property.")
    document.add_paragraph("one", style="List Bullet")
    document.add_table(rows=1, cols=2).cell(0, 0).text = "raw land"
    made = io.BytesIO()
    document.save(made)
    return made.getvalue()


@functools.cache
def pdf() -> bytes:
    from reportlab.pdfgen import canvas  # type: ignore[import-untyped]

    made = io.BytesIO()
    page = canvas.Canvas(made, pageCompression=0, invariant=1)
    page.setTitle("Liens")
    page.bookmarkPage("one")
    page.addOutlineEntry("Liens", "one")
    page.drawString(72, 720, "A lien is a claim on property, said the lender.")
    page.showPage()
    page.save()
    return made.getvalue()


def valid(suffix: str) -> bytes:
    made = {".md": MARKDOWN, ".txt": MARKDOWN, ".html": HTML, ".csv": CSV}
    return made[suffix] if suffix in made else {".docx": docx, ".pdf": pdf}[suffix]()


def part(name: str) -> bytes:
    """One part of the .docx."""
    with zipfile.ZipFile(io.BytesIO(docx())) as package:
        return package.read(name)


def repacked(changed: Mapping[str, bytes], megabytes: Mapping[str, int] | None = None) -> bytes:
    """The .docx with other content in some of its parts, new ones among them; and parts of so many MB of spaces."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx())) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for name in before.namelist():
            if name not in changed and name not in (megabytes or {}):
                package.writestr(name, before.read(name))
        for name, content in changed.items():
            package.writestr(name, content)
        for name, size in (megabytes or {}).items():
            with package.open(name, "w") as written:  # piece by piece: who makes a bomb needs no memory for it
                for _ in range(size):
                    written.write(b" " * 1_000_000)
    return made.getvalue()
