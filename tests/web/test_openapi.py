"""The description: every route and method of the operator's door stands in it, and nothing else."""

import json
import re

import httpx
from starlette.routing import Route

from hyperhive.web.openapi import describe
from tests.web.conftest import Face

METHODS = {"get", "post", "put", "patch", "delete"}


def _described() -> set[tuple[str, str]]:
    paths = describe()["paths"]
    return {(method.upper(), path) for path, item in paths.items() for method in item if method in METHODS}


def _served(face: Face) -> set[tuple[str, str]]:
    found = set()
    for route in face.app.routes:
        assert isinstance(route, Route), f"{route} is of a kind that cannot be described"
        path = re.sub(r":\w+}", "}", route.path)
        methods = set(route.methods or ())
        found |= {(method, path) for method in methods - ({"HEAD"} if "GET" in methods else set())}
    return found


def test_the_description_names_every_route_and_no_other(face: Face) -> None:
    assert _described() == _served(face)


async def test_who_is_logged_in_gets_the_description(face: Face, operator: httpx.AsyncClient) -> None:
    answer = await operator.get("/api/openapi.json")
    assert answer.json() == json.loads(json.dumps(describe()))
    async with face.client() as stranger:
        assert (await stranger.get("/api/openapi.json")).status_code == 401


def test_every_reference_in_it_leads_somewhere() -> None:
    description = describe()
    text = json.dumps(description)
    schemas = description["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)
    assert "#/$defs/" not in text


def test_every_operation_has_a_name_of_its_own_and_says_what_an_error_is() -> None:
    operations = [op for item in describe()["paths"].values() for op in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_what_is_open_to_strangers_is_named_so(face: Face) -> None:
    from tests.web.test_door import OPEN

    paths = describe()["paths"]
    told = {path for path, item in paths.items() if all(op.get("security") == [] for op in item.values())}
    assert told == {re.sub(r":\w+}", "}", path) for path in OPEN}
