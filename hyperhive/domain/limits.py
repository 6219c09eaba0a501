"""What a container may use, as ``agent.toml`` says it."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from hyperhive.domain.value import Value

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LEAST_MEMORY = _UNITS["M"]
_MOST_MEMORY = 1024 * _UNITS["T"]


def size(text: str) -> int:
    """Bytes of ``4G`` and the like."""
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)


def _memory(text: str) -> str:
    if not _LEAST_MEMORY <= size(text) <= _MOST_MEMORY:
        raise PydanticCustomError("memory", "nothing runs in that: give 1M to 1024T")
    return text


_Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,15}[KMGT]?$"), AfterValidator(_memory)]


class Limits(Value):
    """What the container may use."""

    memory: _Memory | None = None
    cpus: float | None = Field(default=None, ge=0.01, le=1024)
    tasks: int | None = Field(default=None, ge=16, le=1_000_000)
