"""What stands in an address after the question mark, checked against the route's model."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import flask

from common.problems import FieldError, InvalidRequest
from common.request_body import broken_rules, pointer_to

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_PARAMETERS = 50


def read_query(request: flask.Request, model: "type[BaseModel]") -> "BaseModel":
    """The parameters as `model`. A parameter that comes twice would mean one thing to us and another to a proxy.

    Raises:
        InvalidRequest: one is unknown, comes twice or breaks a rule; or they are no text. Names each, with a reason.
    """
    try:
        text = request.query_string.decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError:
        raise InvalidRequest("What stands after the question mark is no UTF-8 text.") from None
    except ValueError:
        raise InvalidRequest(f"An address has at most {MAX_PARAMETERS} parameters.") from None
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise InvalidRequest(
            "A parameter comes once.",
            errors=[FieldError(pointer=pointer_to((name,)), detail="comes more than once") for name in repeated],
        )
    from pydantic import ValidationError  # with the model, not with this module

    try:
        return model.model_validate_strings(values)
    except ValidationError as error:
        raise broken_rules(error) from None
