"""What a Terraform plan costs and takes away, as Markdown for a job's summary.

    terraform show -json PLAN > plan.json
    python -m infra.deploy.plan_cost plan.json >> "$GITHUB_STEP_SUMMARY"

Idle cost is what `infra/terraform/costs.tf` says of the parts that are on; of functions it is told what their size
costs an instance that is kept ready, and one that serves. Exit code 2, with one line, where it is no such plan.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from infra.costs import cloud_prices as cloud

Json = dict[str, Any]  # Any: as Terraform gives it

IDLE_OUTPUT = "idle_usd_per_month"
SECONDS_AN_HOUR = 3600
# Of an instance that min_instances keeps ready and that serves nobody; memory costs what it costs while serving.
READY_VCPU_SECOND = cloud.CloudPrice(
    what="Cloud Run, vCPU of an instance that is kept ready",
    usd=Decimal("0.0000025"),
    unit="vCPU-second",
    source=cloud.RUN,
    read="2026-11-29, undated note",
    is_assumed=True,
)

_VERBS = {
    ("create",): "create",
    ("update",): "change",
    ("delete",): "destroy",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}
_UNIT_GIB = {"Mi": Decimal(1) / 1024, "Gi": Decimal(1), "M": Decimal(10**6) / 2**30, "G": Decimal(10**9) / 2**30}


class NoPlan(Exception):
    """It is no plan of ours as `terraform show -json` writes it; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a function is given. Memory is as Terraform has it, as in 512Mi."""

    memory: str
    cpu: str
    min_instances: int
    max_instances: int

    @property
    def ready_usd(self) -> Decimal:
        """USD a month for the instances that are kept ready, if they serve nobody."""
        each = Decimal(self.cpu) * READY_VCPU_SECOND.usd + self._gib * cloud.GIB_SECOND.usd
        return self.min_instances * each * cloud.HOURS_A_MONTH * SECONDS_AN_HOUR

    @property
    def busy_usd(self) -> Decimal:
        """USD for an hour in which one instance serves."""
        return SECONDS_AN_HOUR * (Decimal(self.cpu) * cloud.VCPU_SECOND.usd + self._gib * cloud.GIB_SECOND.usd)

    @property
    def _gib(self) -> Decimal:
        amount, unit = _memory(self.memory)
        return amount * _UNIT_GIB[unit]


def main() -> None:
    """Command line; exits with 2 when the file is no plan."""
    parser = argparse.ArgumentParser(description="What a Terraform plan costs and takes away, as Markdown.")
    parser.add_argument("plan", type=Path, help="what `terraform show -json PLAN` wrote")
    given = parser.parse_args()
    try:
        summary = "\n".join(markdown(read_plan(given.plan)))
    except NoPlan as error:
        sys.stderr.write(f"plan_cost: {given.plan}: {error}\n")
        sys.exit(2)
    sys.stdout.write(f"{summary}\n")


def read_plan(path: Path) -> Json:
    """The plan in `path`; amounts are exact.

    Raises:
        NoPlan: it cannot be read, is no JSON, or no complete plan of this configuration.
    """
    try:
        plan = json.loads(path.read_bytes(), parse_float=Decimal)
    except OSError as error:
        raise NoPlan(f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise NoPlan("is no JSON; make it with terraform show -json PLAN") from None
    if not isinstance(plan, dict) or not isinstance(plan.get("output_changes"), dict):
        raise NoPlan("output_changes: is missing; make it with terraform show -json PLAN")
    if plan.get("errored"):
        raise NoPlan("errored: the plan failed half-way, and says not all that changes")
    if IDLE_OUTPUT not in plan["output_changes"]:
        raise NoPlan(f"output_changes.{IDLE_OUTPUT}: is missing; it is a plan of another configuration")
    return plan


def markdown(plan: Json) -> Iterator[str]:
    """The summary, line by line.

    Raises:
        NoPlan: by the field that is not what Terraform writes.
    """
    try:
        changes = [one for one in plan.get("resource_changes", []) if one["mode"] == "managed"]
        yield from _idle(plan["output_changes"][IDLE_OUTPUT])
        yield from _counts(changes)
        yield from _functions([one for one in changes if one["type"] == "google_cloudfunctions2_function"])
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise NoPlan(f"is not as Terraform writes it: {type(error).__name__} {error}") from None


# What is paid for while nobody asks


def _idle(change: Json) -> Iterator[str]:
    yield "## What this plan changes"
    yield ""
    if change["after_unknown"]:
        yield "Idle cost: known after the apply."
        return
    before, after = (_amounts(change[side]) for side in ("before", "after"))
    was, will = (sum(amounts.values(), Decimal(0)) for amounts in (before, after))
    yield f"Idle cost: **{was:.2f} -> {will:.2f} USD a month ({will - was:+.2f})**, at list prices."
    if before != after:
        yield ""
        yield from _table(
            ["part", "before", "after", "change"],
            [
                [part, f"{old:.2f}", f"{new:.2f}", f"{new - old:+.2f}"]
                for part in sorted(before.keys() | after.keys())
                for old, new in [(before.get(part, Decimal(0)), after.get(part, Decimal(0)))]
            ],
        )


def _amounts(value: Mapping[str, Any] | None) -> dict[str, Decimal]:
    return {part: Decimal(amount) for part, amount in (value or {}).items()}


# What is made, changed and taken away


def _counts(changes: Sequence[Json]) -> Iterator[str]:
    verbs = {one["address"]: _VERBS.get(tuple(one["change"]["actions"])) for one in changes}
    counted = Counter(verbs.values())
    yield ""
    told = [f"{counted[verb]} to {verb}" for verb in ("create", "change", "replace", "destroy")]
    yield f"Resources: {', '.join(told)}."
    lost = [(address, verb) for address, verb in verbs.items() if verb in {"replace", "destroy"}]
    if lost:
        yield ""
        yield "Taken away:"
        yield ""
        yield from (f"- {verb} `{address.replace('`', '')}`" for address, verb in sorted(lost))


# What costs under load


def _functions(changes: Sequence[Json]) -> Iterator[str]:
    sizes = {
        str(one.get("index", one["name"])): (_size(one["change"]["before"]), _size(one["change"]["after"]))
        for one in changes
    }
    resized = {name: pair for name, pair in sizes.items() if pair[0] != pair[1]}
    yield ""
    if not resized:
        yield "No function's size changes."
        return
    yield "Sizes of functions:"
    yield ""
    yield from _table(
        [
            "function",
            "memory",
            "vCPU",
            "min instances",
            "max instances",
            "kept ready, USD a month",
            "serving, USD an hour",
        ],
        [[name, *_row(*pair)] for name, pair in sorted(resized.items())],
    )


def _row(before: Size | None, after: Size | None) -> Iterator[str]:
    for shown in (
        lambda size: size.memory,
        lambda size: size.cpu,
        lambda size: str(size.min_instances),
        lambda size: str(size.max_instances),
        lambda size: f"{size.ready_usd:.2f}",
        lambda size: f"{size.busy_usd:.4f}",
    ):
        was, will = ("none" if size is None else shown(size) for size in (before, after))
        yield was if was == will else f"{was} -> {will}"


def _size(values: Json | None) -> Size | None:
    if values is None:
        return None
    config = values["service_config"][0]
    size = Size(
        memory=config["available_memory"],
        cpu=config["available_cpu"],
        min_instances=config.get("min_instance_count") or 0,
        max_instances=config["max_instance_count"],
    )
    _memory(size.memory)
    return size


def _memory(text: str) -> tuple[Decimal, str]:
    found = re.fullmatch(r"([0-9.]+)(Mi|Gi|M|G)", text)
    if found is None:
        raise ValueError(f"available_memory {text!r}")
    return Decimal(found[1]), found[2]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from (f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    main()
