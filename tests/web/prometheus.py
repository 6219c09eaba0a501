"""A strict reader of Prometheus text, format 0.0.4: what a scraper would stumble over is an error here."""

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HEAD = re.compile(rf"# (HELP|TYPE) ({_NAME}) (\S.*)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.+)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)')
_KINDS = {"counter", "gauge", "histogram"}

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    """A metric. ``samples``: by name and labels."""

    kind: str
    help: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float:
        """The value of one sample."""
        return self.samples[name, frozenset(labels.items())]


def read(text: str) -> dict[str, Family]:
    """The families of a text, each checked.

    Raises:
        AssertionError: a scraper would refuse it, or read something else than is meant.
    """
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    told, name = "", ""
    for line in text.splitlines():
        if line.startswith("#"):
            head = _HEAD.fullmatch(line)
            assert head, line
            what, name, rest = head.groups()
            if what == "HELP":
                assert name not in families, f"{name} comes in two places"
                told = rest
                continue
            assert rest in _KINDS, line
            assert told, f"{name} has no help"
            families[name], told = Family(rest, told), ""
            continue
        _sample(line, name, families[name])
    for name, family in families.items():
        _check(name, family)
    return families


def _sample(line: str, name: str, family: Family) -> None:
    found = _SAMPLE.fullmatch(line)
    assert found, line
    whole, labels, value = found.groups()
    parts = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    assert whole in {f"{name}{part}" for part in parts}, line
    pairs = _LABEL.findall(labels or "")
    assert "".join(f'{key}="{text}",' for key, text in pairs) == (f"{labels}," if labels else ""), line
    assert len({key for key, _ in pairs}) == len(pairs), line
    key = whole, frozenset(pairs)
    assert key not in family.samples, f"{line} comes twice"
    family.samples[key] = float(value.replace("Inf", "inf"))


def _check(name: str, family: Family) -> None:
    assert family.samples, f"{name} has no samples"
    assert name.endswith("_total") == (family.kind == "counter"), name
    if family.kind == "counter":
        assert all(value >= 0 and math.isfinite(value) for value in family.samples.values()), name
    if family.kind != "histogram":
        return
    buckets = sorted(
        (float(dict(labels)["le"].replace("Inf", "inf")), value)
        for (part, labels), value in family.samples.items()
        if part == f"{name}_bucket"
    )
    assert buckets, name
    assert buckets[-1] == (math.inf, family.value(f"{name}_count")), name
    assert [value for _, value in buckets] == sorted(value for _, value in buckets), name
    assert family.value(f"{name}_sum") >= 0, name
