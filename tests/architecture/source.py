"""The source as the architecture tests read it: parsed, with the names of its modules."""

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.lasting import lasting

ROOT = Path(__file__).resolve().parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A file. ``name`` is its path from the root, e.g. ``hyperhive/hive.py``."""

    name: str
    text: str
    tree: ast.Module


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """All Python files below folders of the project."""
    with lasting():
        return tuple(_read(path) for folder in folders for path in sorted(_files(ROOT / folder)))


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__")]
        yield from (Path(place) / name for name in files if name.endswith(".py"))


@cache
def _read(path: Path) -> Module:
    text = path.read_text()
    return Module(str(path.relative_to(ROOT)), text, ast.parse(text))


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function, wherever it stands."""
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call, with the dotted name of what is called; what a name hangs on that is none is left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield _dotted(node.func), node


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id):
            return id
        case ast.Attribute(value, attr):
            return f"{_dotted(value)}.{attr}"
        case _:
            return ""


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, wherever that stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
