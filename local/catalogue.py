"""`functions/functions.json`, the one list of functions, as the local tools read it."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).resolve().parents[1]


class FunctionEntry(BaseModel):
    """One deployed function. What only the deployment reads of it is passed over here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    description: str = ""
    source: Path
    entry_point: str
    signature_type: Literal["http", "event", "cloudevent", "typed"] = "http"
    paths: tuple[str, ...]
    trigger: str
    callers: str
    memory_mb: int
    timeout_seconds: int


class _Catalogue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    functions: tuple[FunctionEntry, ...]


def load_catalogue(path: Path = ROOT / "functions" / "functions.json") -> tuple[FunctionEntry, ...]:
    """All functions, in the file's order.

    Raises:
        pydantic.ValidationError: the file does not say what this needs.
    """
    return _Catalogue.model_validate_json(path.read_bytes()).functions


def table(entries: tuple[FunctionEntry, ...]) -> str:
    """The functions as aligned columns, one line each."""
    rows = [("NAME", "PATHS", "TRIGGER", "CALLERS", "MEMORY", "TIME LIMIT")]
    rows += [
        (
            entry.name, " ".join(entry.paths), entry.trigger, entry.callers,
            f"{entry.memory_mb} MB", f"{entry.timeout_seconds} s",
        )
        for entry in entries
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
