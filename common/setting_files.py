"""JSON files that settings name: prices, budgets. What cannot be used is refused with its field named."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from common.settings import InvalidSettings

Content = TypeVar("Content", bound=BaseModel)


def load_file(path: Path, model: type[Content], setting: str) -> Content:
    """What the file at `path`, which `setting` names ("PRICE_FILE"), holds.

    Raises:
        InvalidSettings: it cannot be read, is no JSON of the shape of `model`, or has a name twice in one object, of
            which JSON's readers would keep the last in silence. Names each field, and no value.
    """
    try:
        content = path.read_bytes()
        found = model.model_validate_json(content)
    except OSError as error:
        raise InvalidSettings(f"{setting}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise InvalidSettings(f"{setting}: {reasons}") from None

    def once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:  # Any: whatever JSON holds
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise InvalidSettings(f"{setting}: {name}: is there more than once")
        return dict(pairs)

    json.loads(content, object_pairs_hook=once_each)
    return found
