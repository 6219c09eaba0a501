"""What a container may use, as ``agent.toml`` says it."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from hyperhive.domain.sizes import UNITS, size
from hyperhive.domain.value import Value

_LEAST_MEMORY = UNITS["M"]
_MOST_MEMORY = 1024 * UNITS["T"]


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
