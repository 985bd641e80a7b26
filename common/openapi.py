"""An OpenAPI 3.1 description, made from the routes alone.

Source: https://spec.openapis.org/oas/v3.1.1
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, RootModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from common.model_names import model_of
from common.problems import CONTENT_TYPE
from common.security.access import UNLIMITED
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
_ACCESS_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
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
    "schema": {
        "type": "string",
        # As `common.security.idempotency.key_of` reads it: bare, or quoted as structured fields are.
        "pattern": r"""^([A-Za-z0-9!#$%&'*+.^_`|~:/=@-]{1,128}|"([ !#-\[\]-~]|\\["\\]){1,128}")$""",
    },
}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The id that this request has in our logs: the caller's own where it can be one.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "RateLimit": {
        "description": "What is left of each limit, and in how many seconds it is renewed: "
        "draft-ietf-httpapi-ratelimit-headers.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": "The limits that count here.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds after which the same request may pass.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to say who asks.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods that this address takes.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "true: the answer that this Idempotency-Key had before.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}
_REFUSED_WITH: dict[HTTPStatus, str] = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate",
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow",
    HTTPStatus.TOO_MANY_REQUESTS: "Retry-After",
    HTTPStatus.CONFLICT: "Retry-After",
}
# Of `text/event-stream` OpenAPI 3.1 does not say what a schema is of; tools take it as that of one event.
_EVENT = {
    "type": "object",
    "description": "One Server-Sent Event; `error` holds a problem, and is the last one.",
    "properties": {"event": {"type": "string"}, "data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["event", "data"],
}
_BODY_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class Live(BaseModel):
    """This process runs and takes requests; nothing else is looked at."""

    status: Literal["alive"] = "alive"


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
    wanted += [(model_of(model), "validation") for route in routes for _, model in route.forms]
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
            "components": {
                "schemas": schemas.get("$defs", {}),
                "headers": _HEADERS,
                "securitySchemes": _SECURITY_SCHEMES,
            },
        }
    )


def _operation(route: "Route", path: str, references: Any) -> dict[str, Any]:
    success: dict[str, Any] = {"description": route.summary, "headers": _success_headers(route)}
    if route.answer is not None or route.status is HTTPStatus.OK:
        answer = (
            references[(model_of(route.answer), "serialization")] if route.answer is not None else {"type": "object"}
        )
        success["content"] = {name: {"schema": _content_schema(name, answer)} for name in route.produces}
    problem = {CONTENT_TYPE: {"schema": references[(Problem, "serialization")]}}
    is_public = route.scope == PUBLIC_SCOPE
    refusals = {
        *_REFUSALS,
        *(_BODY_REFUSALS if route.request is not None else ()),
        *(() if is_public else _ACCESS_REFUSALS),
        *(() if is_public and route.limit == UNLIMITED else (HTTPStatus.TOO_MANY_REQUESTS,)),
        *(_KEY_REFUSALS if route.method == "POST" else ()),
        *((HTTPStatus.UNPROCESSABLE_ENTITY,) if route.query is not None else ()),
    }
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z]+', '_', path).strip('_')}",
        "responses": {
            str(int(route.status)): success,
            **{
                str(int(status)): {
                    "description": status.phrase,
                    "headers": _refusal_headers(status),
                    "content": problem,
                }
                for status in sorted(refusals)
            },
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
    parameters += _query_parameters(route)
    if route.method == "POST":
        parameters.append(_IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        forms = [("application/json", route.request), *route.forms]
        content = {name: {"schema": references[(model_of(model), "validation")]} for name, model in forms}
        operation["requestBody"] = {"required": not route.is_body_optional, "content": content}
    return operation


def _query_parameters(route: "Route") -> list[dict[str, Any]]:
    """One for each field of the route's model; they are texts, so a field that may be None is one that may be absent.

    Such a model refers to no other one.
    """
    if route.query is None:
        return []
    schema = model_of(route.query).model_json_schema()
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), **_parameter(dict(found))}
        for name, found in schema["properties"].items()
    ]


def _parameter(schema: dict[str, Any]) -> dict[str, Any]:
    description = schema.pop("description", None)
    named = [one for one in schema.pop("anyOf", ()) if one != {"type": "null"}]
    if named:
        (only,) = named
        schema = {name: value for name, value in schema.items() if name != "default"} | only
    return {"schema": schema} | ({"description": description} if description is not None else {})


def _content_schema(content_type: str, answer: dict[str, Any]) -> dict[str, Any]:
    if content_type == "text/event-stream":
        return _EVENT
    return answer if content_type.endswith("json") else {"type": "string"}


def _success_headers(route: "Route") -> dict[str, Any]:
    counted = () if route.limit == UNLIMITED else ("RateLimit", "RateLimit-Policy")
    once = {"Idempotent-Replayed": _header("Idempotent-Replayed")} if route.method == "POST" else {}
    return {name: _header(name) for name in ("X-Request-ID", *counted)} | once


def _refusal_headers(status: HTTPStatus) -> dict[str, Any]:
    names = ("X-Request-ID", *([_REFUSED_WITH[status]] if status in _REFUSED_WITH else ()))
    return {name: _header(name) for name in names}


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}
