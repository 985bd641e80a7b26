"""Objects as YAML that reads well in a change: in the order in which they were built, with no anchors."""

from collections.abc import Sequence
from typing import Any

import yaml

_WRITTEN_BY = "# Written by `python -m infra.kubernetes.{by}`: change that, not this.\n"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the base class's
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Lines as lines: scripts and queries."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def yaml_text(things: Sequence[dict[str, Any]], *, by: str = "generate") -> str:  # Any: as YAML has it
    documents = [yaml.dump(thing, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True) for thing in things]
    return _WRITTEN_BY.format(by=by) + "---\n" + "---\n".join(documents)
