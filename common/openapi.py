"""An OpenAPI 3.1 description, made from the routes alone.

Source: https://spec.openapis.org/oas/v3.1.1
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, RootModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from common.model_names import model_of
from common.problems import CONTENT_TYPE
from common.security.principal import PUBLIC_SCOPE

if TYPE_CHECKING:
    from common.function import Route

_REFUSALS = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_ACCESS_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_KEY_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
_SECURITY: list[dict[str, list[str]]] = [{"apiKey": []}, {"bearer": []}]
_SECURITY_SCHEMES = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or an ID token signed by Google."},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key gives the same answer once: draft-ietf-httpapi-idempotency-key-header.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}
_BODY_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class Live(BaseModel):
    """This process runs and takes requests; nothing else is looked at."""

    status: str = "alive"


class ProblemError(BaseModel):
    pointer: str = Field(description="JSON pointer to the field.")
    detail: str


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str
    title: str
    status: int
    instance: str
    request_id: str
    detail: str | None = None
    errors: list[ProblemError] | None = None


class OpenApi(RootModel[dict[str, Any]]):
    """The document itself; its shape is fixed by the OpenAPI specification."""


def openapi_document(title: str, version: str, routes: Iterable["Route"]) -> OpenApi:
    routes = list(routes)
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    wanted += [(model_of(route.request), "validation") for route in routes if route.request is not None]
    wanted += [(model_of(route.answer), "serialization") for route in routes if route.answer is not None]
    references, schemas = models_json_schema(list(dict.fromkeys(wanted)), ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = re.sub(r"\{(\w+):path\}", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, references)
    return OpenApi(
        {
            "openapi": "3.1.0",
            "info": {"title": title, "version": version},
            "paths": paths,
            "components": {"schemas": schemas.get("$defs", {}), "securitySchemes": _SECURITY_SCHEMES},
        }
    )


def _operation(route: "Route", path: str, references: Any) -> dict[str, Any]:
    success: dict[str, Any] = {"description": route.summary}
    if route.answer is not None or route.status is HTTPStatus.OK:
        answer = (
            references[(model_of(route.answer), "serialization")] if route.answer is not None else {"type": "object"}
        )
        is_json = {name: name.endswith("json") for name in route.produces}
        success["content"] = {name: {"schema": answer if is_json[name] else {"type": "string"}} for name in is_json}
    problem = {CONTENT_TYPE: {"schema": references[(Problem, "serialization")]}}
    is_public = route.scope == PUBLIC_SCOPE
    refusals = {
        *_REFUSALS,
        *(_BODY_REFUSALS if route.request is not None else ()),
        *(() if is_public else _ACCESS_REFUSALS),
        *(_KEY_REFUSALS if route.method == "POST" else ()),
    }
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z]+', '_', path).strip('_')}",
        "responses": {
            str(int(route.status)): success,
            **{str(int(status)): {"description": status.phrase, "content": problem} for status in sorted(refusals)},
            **{str(int(status)): success | {"description": status.phrase} for status in route.also},
        },
    }
    if not is_public:
        operation["security"] = _SECURITY
        operation["x-scope"], operation["x-limit"] = route.scope, route.limit
    names = re.findall(r"\{(\w+)\}", path)
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    if route.method == "POST":
        parameters.append(_IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        schema = references[(model_of(route.request), "validation")]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation
