"""How much `common.pii` finds, misses and wrongly masks, and what a line costs: `python -m tests.performance.pii`.

All texts are made here, from the templates beside this module: figures on them say what the recognisers do with these
forms, not how often such forms occur elsewhere. Each figure is given for the templates that were looked at while
building, and for those held out. `--misses` prints, for the former, what was missed and what was found in error.
What counts as found, false and in clear says `tests.performance.pii_scores`.
"""

import argparse
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.pii import mask
from tests.performance.pii_scores import (
    Tally,
    clear_share,
    false_finds_per_thousand,
    missed,
    secrets_share,
    tally,
    touched_share,
    wrong,
)
from tests.performance.pii_templates import LabelledText, texts

KINDS = ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IP", "IBAN", "US_BANK")
REPORT_SEED = 2
TIMES = {"texts": 12, "secrets_config": 4, "secrets_code": 4, "lookalikes": 4, "logs": 20, "provoked": 20}
TIMED_REPEATS = 3
NAIVE = tuple(
    re.compile(pattern)
    for pattern in (
        r"[\w.+-]+@[\w-]+\.[\w.-]+",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"\b(?:\d[ -]?){13,16}\b",
        r"(?:\+?1[-. ]?)?\(?\d{3}\)?[-. ]?\d{3}[-. ]?\d{4}",
        r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
    )
)
LONG_LINE = 100_000
SLOW_SECONDS = 0.05
PATHOLOGICAL = (
    *("1", "a", "A1", " ", ".", "::", "a@", "a.", "1-", "1.", "(415) ", "+1 ", "fe80:", "4111-", "GB", "DE12 ", "eyJ"),
    *("eyJ.", "password=", "password: '", "key:", "token ", "a_key ", "//u:", "http://", "https://a:b", "%3A", '"'),
    *("-----BEGIN ", "'", "\\", "call ", "call 1 ", "ssn ", "account 1", "Bearer ", "basic a", "sk-", "x=", "\n", "é"),
    *("a-", "a@b.", "-p", "1 ", "12345678 ", "{", "pass", "KEY", "key=a ", "<password>", "AKIA", "1.1.", "a:b@"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    developed: str
    held_out: str
    target: str = ""


def line_microseconds(lines: Sequence[str], work: Callable[[str], object] = mask) -> list[float]:
    """What `work` takes for each line, ascending: the best of a few runs, so that the machine's other work is out."""
    return sorted(_seconds(line, work) * 1e6 for line in lines)


def _seconds(text: str, work: Callable[[str], object] = mask) -> float:
    times = []
    for _ in range(TIMED_REPEATS):
        start = time.perf_counter()
        work(text)
        times.append(time.perf_counter() - start)
    return min(times)


def naive(text: str) -> str:
    """Five usual patterns, one after the other: a yardstick for the speed of the machine that this runs on."""
    for pattern in NAIVE:
        text = pattern.sub("[MASKED]", text)
    return text


def growth(piece: str) -> tuple[float, float]:
    """Seconds for `LONG_LINE` characters of `piece`, and how much more that is than for half of them (2: linear)."""
    whole, half = (_cpu_seconds(piece * (size // len(piece))) for size in (LONG_LINE, LONG_LINE // 2))
    return whole, whole / half


def _cpu_seconds(text: str) -> float:
    """As `_seconds`, by a clock that stands while other processes run: long texts are often interrupted."""
    times = []
    for _ in range(TIMED_REPEATS):
        start = time.thread_time()
        mask(text)
        times.append(time.thread_time() - start)
    return min(times)


def sample(name: str, *, held_out: bool) -> list[LabelledText]:
    return list(texts(name, seed=REPORT_SEED, times=TIMES[name], held_out=held_out))


def both(name: str, texts_name: str, figure: Callable[[list[LabelledText]], str], target: str = "") -> Row:
    developed, held_out = (figure(sample(texts_name, held_out=side)) for side in (False, True))
    return Row(name=name, developed=developed, held_out=held_out, target=target)


def personal_rows() -> Iterator[Row]:
    developed, held_out = (tally(sample("texts", held_out=side)) for side in (False, True))
    all_kinds = [sum(side.values(), Tally()) for side in (developed, held_out)]
    yield Row(
        name="F1, personal data", developed=f"{all_kinds[0].f1:.3f}", held_out=f"{all_kinds[1].f1:.3f}", target=">= .95"
    )
    yield Row(name="  exact bounds", developed=f"{all_kinds[0].exact_f1:.3f}", held_out=f"{all_kinds[1].exact_f1:.3f}")
    for kind in KINDS:
        cells = [f"{side[kind].precision:.2f} / {side[kind].recall:.2f}" for side in (developed, held_out)]
        yield Row(name=f"  {kind}: precision / recall", developed=cells[0], held_out=cells[1])


def secret_rows() -> Iterator[Row]:
    def found(some: list[LabelledText]) -> str:
        return f"{secrets_share(some):.2f}"

    yield both("secrets found: configuration, logs, commands", "secrets_config", found, ">= .80")
    yield both("secrets found: source code", "secrets_code", found, ">= .55")
    yield both("look-alikes wrongly masked", "lookalikes", lambda some: f"{touched_share(some):.1%}", "<= 6 %")


def log_rows() -> Iterator[Row]:
    def false(some: list[LabelledText]) -> str:
        return f"{false_finds_per_thousand(some):.1f}"

    yield both("false finds per 1,000 log lines, without IP", "logs", false, "<= 2")
    yield both("  in lines made to provoke them", "provoked", false)
    lines = [[one.text for one in sample("logs", held_out=side)] for side in (False, True)]
    for name, work, share, target in (
        ("median", mask, 0.5, "<= 8"),
        ("median of five naive patterns", naive, 0.5, "(14)"),
        ("p99", mask, 0.99, ""),
    ):
        cells = [f"{times[int(share * len(times))]:.1f}" for times in (line_microseconds(side, work) for side in lines)]
        yield Row(name=f"microseconds per line, {name}", developed=cells[0], held_out=cells[1], target=target)


def growth_rows() -> Iterator[Row]:
    grown = {piece: growth(piece) for piece in PATHOLOGICAL}
    slowest = max(grown, key=lambda piece: grown[piece][0])
    slow = [piece for piece in grown if grown[piece][0] >= SLOW_SECONDS] or [slowest]  # below, noise decides
    steepest = max(slow, key=lambda piece: grown[piece][1])
    seconds = f"{grown[slowest][0] * 1000:.0f} ms ({slowest!r})"
    yield Row(name="slowest line of 100,000 characters", developed=seconds, held_out="")
    cell = f"{grown[steepest][1]:.1f} ({steepest!r})"
    yield Row(name="time for twice the length, worst (2: linear)", developed=cell, held_out="", target="< 3")


def measure() -> list[Row]:
    def clear(some: list[LabelledText]) -> str:
        return f"{clear_share(some):.1%}"

    rows = [*personal_rows(), both("labelled characters left in clear", "texts", clear, "<= 4 %")]
    return [*rows, *secret_rows(), *log_rows(), *growth_rows()]


def print_misses(name: str, seed: int) -> None:
    """Each template with its first miss and its first false find, and how many of either its fillings gave."""
    counts: Counter[str] = Counter()
    examples: dict[str, dict[str, str]] = defaultdict(dict)
    for one in texts(name, seed=seed, times=TIMES[name], held_out=False):
        for fault in [*missed(one), *wrong(one)]:
            counts[one.template.text] += 1
            examples[one.template.text].setdefault(fault.split("'")[0], f"{fault}\n      in {one.text!r}")
    print(f"\n{name}: {sum(counts.values())} faults")
    for template, count in counts.most_common():
        print(f"  {count} x {template[:150]}")
        for example in examples[template].values():
            print(f"    {example[:400]}")


def print_table(rows: Iterable[Row]) -> None:
    print("Personal data and secrets, on texts that this benchmark makes itself:")
    print(f"  {'':<52} {'looked at':>22} {'held out':>14}  target")
    for row in rows:
        print(f"  {row.name:<52} {row.developed:>22} {row.held_out:>14}  {row.target}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--misses", action="store_true", help="what was missed or found in error, by template")
    parser.add_argument("--seed", type=int, default=1, help="for --misses: which values fill the templates")
    arguments = parser.parse_args()
    if arguments.misses:
        for name in TIMES:
            print_misses(name, arguments.seed)
    else:
        print_table(measure())
    return 0


if __name__ == "__main__":
    sys.exit(main())
