"""Tools from the methods of a surface: a schema is made once per method, the caller bound per surface."""

import inspect
from collections.abc import Callable
from functools import cache
from types import MethodType
from typing import Any, TypeVar, get_type_hints

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ToolAnnotations

_Method = TypeVar("_Method", bound=Callable[..., Any])
_MARK = "__tool_annotations__"


def tool(
    title: str, *, reads: bool = False, idempotent: bool = False, destructive: bool = False
) -> Callable[[_Method], _Method]:
    """Mark a method as a tool; its docstring is what a model reads.

    Args:
        title: for people.
        reads: it changes nothing.
        idempotent: a second call with the same arguments changes nothing more.
        destructive: it may end something that runs.
    """
    annotations = ToolAnnotations(
        title=title,
        read_only_hint=reads,
        idempotent_hint=idempotent,
        destructive_hint=destructive,
        open_world_hint=False,
    )

    def mark(method: _Method) -> _Method:
        setattr(method, _MARK, annotations)
        return method

    return mark


def tools_of(surface: object) -> list[Tool]:
    """The tools that ``surface``'s marked methods are, base classes first."""
    functions = {
        name: function
        for kind in reversed(type(surface).__mro__)
        for name, function in vars(kind).items()
        if hasattr(function, _MARK)
    }
    return [
        _template(function).model_copy(update={"fn": MethodType(function, surface)})
        for function in functions.values()
    ]


@cache
def _template(function: Callable[..., Any]) -> Tool:
    """The tool of a method that is bound to nothing yet. Schemas are what costs: 1,000 agents share them."""
    annotations: ToolAnnotations = getattr(function, _MARK)
    made = Tool.from_function(
        MethodType(function, object()),
        title=annotations.title,
        description=inspect.getdoc(function),
        annotations=annotations,
        structured_output=True,
    )

    # Who gives a finished answer has made it from the model of its schema: it is not held against that once more.
    if get_type_hints(function)["return"] is CallToolResult:
        made.fn_metadata.output_model = None

    # An argument that is not known is refused, not ignored: it may be meant to say who is calling.
    model = made.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    return made.model_copy(update={"parameters": model.model_json_schema(by_alias=True)})
