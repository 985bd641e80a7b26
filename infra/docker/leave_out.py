"""Names the packages that an image leaves out (left_out.toml), and writes its bill of materials without them.

    python infra/docker/leave_out.py [--function SOURCE] [--bill FROM TO]     # from the repository's root

Without --function it is the image of the command line. Run while an image is built: the standard library alone.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LISTS = Path(__file__).with_name("left_out.toml")
FUNCTIONS = Path("functions") / "functions.json"

Json = dict[str, Any]  # Any: as functions.json and CycloneDX have it


def left_out(lists: Json, function: Json | None) -> list[str]:
    """The packages, by name; `function` is an entry of functions.json, or None for the command line."""
    names: list[str] = list(lists["nowhere"])
    if function is not None:
        names += lists["functions"]
        for part, packages in lists["unless"].items():
            if part not in function["uses"]:
                names += packages
    return sorted(names)


def bill_without(bill: Json, names: Sequence[str]) -> Json:
    """A CycloneDX bill without the components `names`, and with what depends on what among the rest."""
    kept = [one for one in bill["components"] if one["name"] not in names]
    known = {one["bom-ref"] for one in kept} | {bill["metadata"]["component"]["bom-ref"]}
    edges = []
    for edge in bill["dependencies"]:
        if edge["ref"] in known:
            on = [ref for ref in edge.get("dependsOn", ()) if ref in known]
            edges.append({"ref": edge["ref"], **({"dependsOn": on} if on else {})})
    return bill | {"components": kept, "dependencies": edges}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--function", metavar="SOURCE", help="a function's source, as in functions.json")
    parser.add_argument("--bill", nargs=2, type=Path, metavar=("FROM", "TO"), help="bills of materials")
    given = parser.parse_args(arguments)
    function = None
    if given.function is not None:
        listed = {one["source"]: one for one in json.loads(FUNCTIONS.read_text(encoding="utf-8"))["functions"]}
        if given.function not in listed:
            print(f"FUNCTION_SOURCE: must be one of {', '.join(listed)}", file=sys.stderr)  # noqa: T201  # for people
            return 2
        function = listed[given.function]
    names = left_out(tomllib.loads(LISTS.read_text(encoding="utf-8")), function)
    if given.bill:
        source, target = given.bill
        bill = bill_without(json.loads(source.read_text(encoding="utf-8")), names)
        target.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(*names, sep="\n")  # noqa: T201  # the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
