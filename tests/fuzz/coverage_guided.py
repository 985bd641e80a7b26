"""Coverage-guided fuzzing by hand, for as long as one likes; what it finds becomes a test.

    python -m tests.fuzz.coverage_guided TARGET --seconds 300

It needs `pip install atheris`, which is in no lock: it has no build for every machine that runs the tests. Inputs that
reach something new are kept in build/fuzz/TARGET, so the next run goes on from there; one that breaks a property is
left there too, as crash-*, and is tried again when its path is given as a further argument.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.emulators import ROOT
from tests.fuzz import documents

MOST_INPUT_BYTES = 4_096
Target = Callable[[bytes], object]


# Each imports what it checks: only what is imported while atheris looks on tells where an input has been.
def body(_stack: ExitStack) -> Target:
    from functions.documents.models import DocumentsRequest
    from functions.query.models import QueryRequest
    from tests.fuzz.targets import check_body

    def check(raw: bytes) -> None:
        check_body(raw, QueryRequest)
        check_body(raw, DocumentsRequest)

    return check


def pii(_stack: ExitStack) -> Target:
    from tests.fuzz.targets import check_detection

    return lambda raw: check_detection(raw.decode(errors="replace"))


def token(stack: ExitStack) -> Target:
    """The text as it is, and its halves as header and claims of a token with a genuine signature."""
    from common.security.id_tokens import Account, IdTokens, SigningKeys
    from common.security.keyring import KeyRing
    from common.security.principal import ROLES, Principal
    from tests.fuzz.targets import check_token
    from tests.token_issuer import AUDIENCE, EMAIL, b64, token_issuer

    issuer = stack.enter_context(token_issuer())
    ring = cast(KeyRing, SimpleNamespace(mac=lambda _purpose, _message: "0" * 64))
    accounts = {EMAIL: Account(role="viewer", tenant="default")}
    keys = SigningKeys(issuer.certs_url)
    tokens = IdTokens(
        keys=keys, issuers=[issuer.issuer], audiences=[AUDIENCE], accounts=accounts, ring=lambda: ring
    )  # fmt: skip
    known = Principal(id="account:" + "0" * 16, tenant="default", scopes=ROLES["viewer"])
    assert tokens.check(issuer.token()) == known

    def check(raw: bytes) -> None:
        check_token(tokens, raw.decode("latin-1"), known)
        header, separator, claims = raw.partition(b"\0")
        genuine = header if separator else b'{"alg":"RS256","kid":"key-0"}'
        check_token(tokens, issuer.signed_text(b64(genuine), b64(claims if separator else raw)), known)

    return check


def headers(stack: ExitStack) -> Target:
    """Lines of NAME:VALUE, the first one a path and a query."""
    from tests.fuzz.targets import ask, check_answer

    app = _gateway(stack)

    def check(raw: bytes) -> None:
        address, *lines = raw.decode("latin-1").split("\n")
        path, _, query = address.partition("?")
        pairs = (line.partition(":") for line in lines[:20])
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, _, value in pairs}
        check_answer(ask(app, path="/" + path, QUERY_STRING=query, **environ))

    return check


def _gateway(stack: ExitStack) -> Any:
    from local.catalogue import load_catalogue
    from local.gateway import Gateway
    from tests.instance import instance

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    settings = {"ADDRESS_LIMIT": "none", "FAILED_KEYS_LIMIT": "none", "LOG_LEVEL": "ERROR"}
    stack.enter_context(instance(folder, **settings))
    return Gateway(load_catalogue())


def _file(suffix: str) -> Callable[[ExitStack], Target]:
    def made(stack: ExitStack) -> Target:
        from tests.fuzz.targets import check_document

        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"any{suffix}"

        def check(raw: bytes) -> None:
            path.write_bytes(raw)
            check_document(path)

        return check

    return made


def docx(stack: ExitStack) -> Target:
    """The text's XML alone: a package of it would be larger than any input, and its checksums would never be right."""
    from tests.fuzz.targets import check_document

    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "any.docx"

    def check(raw: bytes) -> None:
        path.write_bytes(documents.repacked({documents.BODY: raw}))
        check_document(path)

    return check


TARGETS: Mapping[str, Callable[[ExitStack], Target]] = {
    "body": body,
    "pii": pii,
    "token": token,
    "headers": headers,
    "docx": docx,
    **{suffix[1:]: _file(suffix) for suffix in (".md", ".txt", ".html", ".csv", ".pdf")},
}
SEEDS: Mapping[str, bytes] = {
    "body": b'{"documents":[{"id":"a","title":"t","text":"x","metadata":{"a":1}}],"message":"What?","stream":false}',
    "pii": b"Jane Roe, 078-05-1120, jane@example.com, +1 202 555 0143, 4111 1111 1111 1111, api_key=sk-abcdef01234",
    "token": b'{"alg":"RS256","kid":"key-0"}\0{"iss":"https://accounts.example","aud":"a","email":"e","exp":1,"iat":1}',
    "headers": b"health/live?a=b\nx-request-id:abc\ntraceparent:00-"
    + b"a" * 32
    + b"-"
    + b"b" * 16
    + b"-01\naccept:*/*",
    "docx": b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
    b'<w:p><w:pPr><w:pStyle w:val="Heading1"/><w:numPr/></w:pPr><w:r><w:t>Liens</w:t><w:tab/><w:br/></w:r></w:p>'
    b"<w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl><w:sdt/></w:body></w:document>",
    **{suffix[1:]: documents.valid(suffix) for suffix in (".md", ".txt", ".html", ".csv", ".pdf")},
}


def main() -> None:
    options, others = _options()
    try:
        import atheris  # type: ignore[import-untyped]  # installed by hand
    except ImportError:
        sys.exit("coverage-guided fuzzing needs: pip install atheris")
    corpus = ROOT / "build" / "fuzz" / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "seed").write_bytes(SEEDS[options.target])
    with ExitStack() as stack:
        with atheris.instrument_imports(include=["common", "functions", "local", "pypdf", "bs4", "docx", "jwt"]):
            target = TARGETS[options.target](stack)
            target(SEEDS[options.target])  # what is imported at the first use is watched too
        arguments = [
            sys.argv[0], f"-max_total_time={options.seconds}", f"-max_len={MOST_INPUT_BYTES}", "-timeout=20",
            "-rss_limit_mb=3000", f"-artifact_prefix={corpus}/", "-print_final_stats=1", *(others or [str(corpus)]),
        ]  # fmt: skip
        atheris.Setup(arguments, target)
        atheris.Fuzz()


def _options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="Fuzz one target with atheris; further arguments are libFuzzer's.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    return parser.parse_known_args()


if __name__ == "__main__":
    main()
