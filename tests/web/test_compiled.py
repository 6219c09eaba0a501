"""Compiled templates are kept beside Python's bytecode, and never believed when something changed."""

import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from hyperhive.web.compiled import CompiledTemplates

SOURCE = "Hello {{ name }}!"


@pytest.fixture(autouse=True)
def _bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)


def _said(folder: Path) -> str:
    settings = folder / "settings.py"
    if not settings.exists():
        settings.write_text("first")
    cache = CompiledTemplates(settings=(str(settings),))
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, bytecode_cache=cache)
    return environment.get_template("page.html").render(name="<you>")


def _kept(folder: Path) -> list[Path]:
    return sorted((folder / "__pycache__").iterdir())


def test_a_template_is_compiled_once_and_read_by_the_next_process(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(SOURCE)
    assert _said(tmp_path) == "Hello &lt;you&gt;!"
    (kept,) = _kept(tmp_path)
    before = kept.stat()
    assert _said(tmp_path) == "Hello &lt;you&gt;!"
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_changed_template_is_compiled_again(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(SOURCE)
    _said(tmp_path)
    page.write_text("Bye {{ name }}!")
    assert _said(tmp_path) == "Bye &lt;you&gt;!"
    assert len(_kept(tmp_path)) == 1


def test_changed_settings_compile_everything_again(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(SOURCE)
    _said(tmp_path)
    (first,) = _kept(tmp_path)
    before = first.stat().st_ino
    (tmp_path / "settings.py").write_text("second, and longer")
    assert _said(tmp_path) == "Hello &lt;you&gt;!"
    assert first.stat().st_ino != before


@pytest.mark.parametrize("rubbish", [b"", b"j2", b"\x80\x04rubbish", bytes(range(256))])
def test_what_is_no_compiled_template_is_not_believed(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "page.html").write_text(SOURCE)
    _said(tmp_path)
    (kept,) = _kept(tmp_path)
    whole = kept.read_bytes()
    kept.write_bytes(rubbish)
    assert _said(tmp_path) == "Hello &lt;you&gt;!"
    kept.write_bytes(whole[: len(whole) // 2])
    assert _said(tmp_path) == "Hello &lt;you&gt;!"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(SOURCE)
    (tmp_path / "__pycache__").write_text("no folder")
    assert _said(tmp_path) == "Hello &lt;you&gt;!"
