"""All functions behind one WSGI application, each in the app that the Functions Framework makes for it."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
from functions_framework import create_app as untyped_create_app
from werkzeug.test import Client

from common.function import Call, Function, Route
from common.openapi import OpenApi
from common.security.access import UNLIMITED
from common.security.principal import PUBLIC_SCOPE
from common.version import VERSION
from local.catalogue import ROOT, FunctionEntry

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

create_app: "Callable[[str, str, str], WSGIApplication]" = untyped_create_app
_OWN_PATHS = ("/live", "/metrics", "/openapi.json")  # that every function has, and that would meet on one port


class Gateway:
    """Sends a request to the function with the longest of its `paths` that begins the request's path.

    A function's own `/live`, `/metrics` and `/openapi.json` are found below its name; the metrics are those of the
    process, and so the same everywhere. The gateway's `/openapi.json`
    describes all functions together; any other path is answered as by a function that has no such route.
    """

    def __init__(self, entries: Iterable[FunctionEntry], root: Path = ROOT) -> None:
        self._apps: dict[str, WSGIApplication] = {}
        self._by_path: dict[str, WSGIApplication] = {}
        self._by_alias: dict[str, tuple[WSGIApplication, str]] = {}
        for entry in entries:
            # The signature type must be given: the framework leaves the last one in the environment as a default.
            app = create_app(entry.entry_point, str(root / entry.source), entry.signature_type)
            self._apps[entry.name] = app
            self._by_path |= dict.fromkeys(entry.paths, app)
            # A function that lives at its own name may have a `/live` there itself, as health does.
            own = [path for path in _OWN_PATHS if path != "/live" or f"/{entry.name}" not in entry.paths]
            self._by_alias |= {f"/{entry.name}{path}": (app, path) for path in own}
        self._own = Function(
            name="emulator",
            title="LoanCollateralCheck: all functions",
            version=VERSION,
            routes=[
                Route(
                    method="GET", path="/openapi.json", summary="All functions, as OpenAPI 3.1.",
                    handler=self._describe, answer=OpenApi, scope=PUBLIC_SCOPE, limit=UNLIMITED,
                )
            ],
        )  # fmt: skip

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in self._by_alias:
            app, inner = self._by_alias[path]
            outer = environ["SCRIPT_NAME"] + path.removesuffix(inner)
            return app(environ | {"SCRIPT_NAME": outer, "PATH_INFO": inner}, start_response)
        found = self._app_for(path)
        if found is not None:
            return found(environ, start_response)
        return self._own(flask.Request(environ))(environ, start_response)

    def client(self, name: str) -> Client:
        """Calls to one function without a network."""
        return Client(self._apps[name])

    def _app_for(self, path: str) -> "WSGIApplication | None":
        while path:
            if path in self._by_path:
                return self._by_path[path]
            path = path.rpartition("/")[0]
        return None

    def _describe(self, _call: Call[None]) -> OpenApi:
        described = {name: self.client(name).get("/openapi.json") for name in self._apps}
        documents = {name: response.get_json() for name, response in described.items() if response.status_code == 200}
        return OpenApi(merged(documents, title=self._own.title))


def merged(documents: Mapping[str, dict[str, Any]], *, title: str) -> dict[str, Any]:
    """One OpenAPI document from several by name: their paths, and their schemas.

    Two different schemas of one name both stay: the later one is called after its function, as in `health_Status`.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    security: dict[str, Any] = {}
    for name, document in documents.items():
        own = document.get("components", {}).get("schemas", {})
        clashes = [schema for schema in own if schema in schemas and schemas[schema] != own[schema]]
        document = _renamed(document, {schema: f"{name}_{schema}" for schema in clashes})
        schemas |= document.get("components", {}).get("schemas", {})
        headers |= document.get("components", {}).get("headers", {})
        security |= document.get("components", {}).get("securitySchemes", {})
        for path, operations in document["paths"].items():
            # A function's own route of that name comes first, and stays.
            paths.setdefault(f"/{name}{path}" if path in _OWN_PATHS else path, _named(operations, name))
    info = {"title": title, "version": VERSION}
    components = {"schemas": schemas, "headers": headers, "securitySchemes": security}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _renamed(document: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    text = json.dumps(document)
    for old, new in names.items():
        text = text.replace(f'"#/components/schemas/{old}"', f'"#/components/schemas/{new}"')
    renamed: dict[str, Any] = json.loads(text)
    schemas = renamed.get("components", {}).get("schemas", {})
    for old, new in names.items():
        schemas[new] = schemas.pop(old)
    return renamed


def _named(operations: dict[str, Any], name: str) -> dict[str, Any]:
    """Operations tagged with their function; an operation's id is unique in the whole document."""
    return {
        method: operation | {"tags": [name], "operationId": f"{name}_{operation['operationId']}"}
        for method, operation in operations.items()
    }
