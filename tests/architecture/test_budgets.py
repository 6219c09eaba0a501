"""The house's manners: budgets, names, docstrings, nothing left for later."""

import ast
import re
from collections.abc import Iterator

from tests.architecture.source import functions, imports, modules

MODULE = 400
FUNCTION = 40


def test_a_module_stays_within_its_budget() -> None:
    found = modules("hyperhive", "scripts")
    assert len(found) > 20
    assert [m.name for m in found if m.text.count("\n") > MODULE] == []


def test_a_function_stays_within_its_budget() -> None:
    long = [
        f"{module.name}:{function.lineno} {function.name}"
        for module in modules("hyperhive", "scripts")
        for function in functions(module.tree)
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION
    ]
    assert long == []


def _public_without_docstring(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_"):
                if not ast.get_docstring(node) and isinstance(tree, ast.Module):
                    yield f"{node.lineno} {name}"
            case ast.ClassDef(name=name, bases=bases) if not name.startswith("_"):
                # A class that only gives a name to a value says what it is by its name and base.
                if not ast.get_docstring(node) and not bases:
                    yield f"{node.lineno} {name}"


def test_every_module_says_what_it_is_and_what_is_public_its_contract() -> None:
    silent = [
        m.name for m in modules("hyperhive", "scripts") if m.text.strip() and not ast.get_docstring(m.tree)
    ]
    silent += [
        f"{module.name}:{place}"
        for module in modules("hyperhive", "scripts")
        for place in _public_without_docstring(module.tree)
    ]
    assert silent == []


def test_imports_are_absolute() -> None:
    relative = [
        f"{module.name}:{node.lineno}"
        for module in modules("hyperhive", "tests", "scripts", "bench")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert relative == []


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = [
        f"{module.name}:{number}"
        for module in modules("hyperhive", "tests", "scripts", "bench")
        for number, line in enumerate(module.text.splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


def test_tests_use_named_fakes_rather_than_mocks() -> None:
    mocking = [m.name for m in modules("tests") if any("mock" in name for name in imports(m.tree))]
    assert mocking == []
