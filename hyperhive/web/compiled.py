"""Compiled templates, kept beside Python's own bytecode: compiling takes longer than all else of a first page."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from jinja2 import compiler
from jinja2.bccache import Bucket, BytecodeCache

MAX_COMPILED = 4 * 1024 * 1024
"""Bytes of one compiled template; what is longer was not written here."""


class CompiledTemplates(BytecodeCache):
    """Keeps each template in the ``__pycache__`` of its folder, by the rules Python has for modules.

    What cannot be read or written is compiled again, and that is no error.

    Args:
        settings: the files that decide, beside a template itself, what becomes of it.
    """

    def __init__(self, *, settings: Iterable[str]) -> None:
        stats = [Path(file).stat() for file in (compiler.__file__, *settings)]
        self._settings = "".join(f"{stat.st_mtime_ns}:{stat.st_size};" for stat in stats)

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Where the template is kept; nowhere where Python keeps nothing either."""
        if filename is None or sys.implementation.cache_tag is None:
            return ""
        return str(Path(importlib.util.cache_from_source(filename)).with_suffix(".jinja"))

    def get_source_checksum(self, source: str) -> str:
        """Changes with the template, and with what compiles it."""
        return sha256(f"{self._settings}{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill ``bucket`` from its file, if that is there and still right."""
        if not bucket.key:
            return
        try:
            with Path(bucket.key).open("rb") as file:
                bucket.bytecode_from_string(file.read(MAX_COMPILED))
        except Exception:
            # Half a file, or none: whatever the reader makes of it, the template itself is still there.
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write ``bucket`` to its file, whole or not at all."""
        if not bucket.key or sys.dont_write_bytecode:
            return
        kept = Path(bucket.key)
        draft = kept.with_name(f"{kept.name}.{os.getpid()}")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(bucket.bytecode_to_string())
            draft.replace(kept)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
