"""Samples as Prometheus text, format 0.0.4."""

import math
import re
from collections.abc import Iterable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def render(samples: Iterable[tuple[str, dict[str, str], float]]) -> str:
    """The text of ``samples`` (name, labels, value), by name; those ending in ``_total`` are counters.

    Raises:
        ValueError: a name or a label's name is none.
    """
    groups: dict[str, list[str]] = {}
    for name, labels, value in samples:
        if _NAME.fullmatch(name) is None or not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError(f"not a metric: {name} {sorted(labels)}")
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        groups.setdefault(name, []).append(f"{name}{{{pairs}}}" if pairs else name)
        groups[name][-1] += f" {_number(value)}"
    lines: list[str] = []
    for name, group in groups.items():
        lines += [f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}", *group]
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
