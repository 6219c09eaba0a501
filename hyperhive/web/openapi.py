"""``GET /api/openapi.json``: the operator's door described in OpenAPI 3.1, from its routes' table and the models."""

import asyncio
import re
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PATH = "/api/openapi.json"


class Description:
    """The route. What it gives is made when it is first asked for: few ask, and it takes its time."""

    def __init__(self) -> None:
        self._made: dict[str, Any] | None = None

    def routes(self) -> list[Route]:
        """The route."""
        return [Route(PATH, self.description)]

    async def description(self, request: Request) -> Response:
        """The description."""
        if self._made is None:
            self._made = await asyncio.to_thread(describe)
        return JSONResponse(self._made)


def describe() -> dict[str, Any]:
    """The description as a value of JSON."""
    import hyperhive
    from hyperhive.web.described import OPERATIONS

    models = _Models()
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation, models)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hyperhive", "version": hyperhive.__version__},
        "paths": paths,
        "security": [{"token": []}, {"session": []}],
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "hyperhive_session_PORT"},
            },
            "schemas": dict(sorted(models.definitions.items())),
        },
    }


class _Models:
    """Schemas of types; what they refer to is gathered in ``definitions``."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def given(self, kind: Any) -> dict[str, Any]:
        """What an answer holds. A name differs where the same model is taken otherwise than given."""
        return self._schema(kind, "serialization")

    def taken(self, kind: Any) -> dict[str, Any]:
        """What a body may hold."""
        return self._schema(kind, "validation")

    def _schema(self, kind: Any, mode: Any) -> dict[str, Any]:
        schema = TypeAdapter(kind).json_schema(mode=mode, ref_template="#/components/schemas/{model}")
        self.definitions.update(schema.pop("$defs", {}))
        name = schema.get("title", "")
        if schema.get("type") != "object" or not name.isidentifier():
            return schema
        self.definitions[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}


def _operation(method: str, path: str, operation: Any, models: _Models) -> dict[str, Any]:
    from hyperhive.web import described, shapes

    content = {
        media: {"schema": {"type": "string"} if kind is None else models.given(kind)}
        for media, kind in operation.gives.items()
    }
    success = {"description": operation.does, **({"content": content} if content else {})}
    error = {"application/problem+json": {"schema": models.given(shapes.Problem)}}
    if operation.open or not path.startswith(("/api/", "/metrics", "/mcp")):
        error[described.HTML] = {"schema": {"type": "string"}}
    if path == "/mcp":
        error[described.JSON] = {"schema": models.given(shapes.RpcError)}
    made: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method} {path}").strip("_").lower(),
        "summary": operation.does,
        "parameters": [*_in_path(path), *map(_parameter, operation.query)],
        "responses": {
            **{str(status): _success(status, success) for status in (operation.status, *operation.more)},
            "default": {"description": "an error, or the way to the login", "content": error},
        },
    }
    if operation.takes is not None:
        media = described.FORM if operation.form else described.JSON
        body = {"schema": models.taken(operation.takes)}
        made["requestBody"] = {"content": {media: body}, "required": _required(operation.takes)}
    if operation.open:
        made["security"] = []
    elif path == "/mcp":
        made["security"] = [{"token": []}]
    return made


def _success(status: int, described: dict[str, Any]) -> dict[str, Any]:
    return {"description": described["description"]} if status in (204, 303, 304) else described


def _required(model: Any) -> bool:
    """Whether a body must be there: an empty one counts as ``{}``."""
    return any(field.is_required() for field in model.model_fields.values())


def _in_path(path: str) -> list[dict[str, Any]]:
    from hyperhive.web import asked, described

    schemas = {
        "name": described.NAME,
        "id": {"type": "integer", "minimum": 1, "maximum": asked.HIGHEST},
    }
    names = re.findall(r"{(\w+)}", path)
    plain = {"type": "string", "minLength": 1}
    return [{"name": n, "in": "path", "required": True, "schema": schemas.get(n, plain)} for n in names]


def _parameter(query: Any) -> dict[str, Any]:
    where = "header" if query.header else "query"
    return {"name": query.name, "in": where, "schema": query.schema, "description": query.help}
