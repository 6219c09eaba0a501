"""``/metrics``: what a scraper reads, and that all of it stands in the docs."""

from collections.abc import Iterator

import httpx
import pytest

from hyperhive.actors.histogram import BOUNDS, Histogram
from hyperhive.web.metrics import METRICS, Metric, render
from tests.architecture.source import ROOT
from tests.fakes.hive import FakeHive
from tests.web.prometheus import read

_SOME = {"jobs_total": Metric("counter", "Jobs."), "took_seconds": Metric("histogram", "Times.")}


async def test_it_is_prometheus_text_with_help_and_types(operator: httpx.AsyncClient, hive: FakeHive) -> None:
    hive.samples = [
        ("hyperhive_mailbox_depth", {"actor": 'a"\\\n'}, 3.0),
        ("hyperhive_events_total", {}, 7.0),
        ("hyperhive_mailbox_depth", {"actor": "b"}, 0.5),
    ]
    answer = await operator.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.splitlines() == [
        "# HELP hyperhive_mailbox_depth Messages that wait for an actor, between actors.",
        "# TYPE hyperhive_mailbox_depth gauge",
        'hyperhive_mailbox_depth{actor="a\\"\\\\\\n"} 3',
        'hyperhive_mailbox_depth{actor="b"} 0.5',
        "# HELP hyperhive_events_total Events recorded since the hive began.",
        "# TYPE hyperhive_events_total counter",
        "hyperhive_events_total 7",
        "# HELP hyperhive_http_streams Open streams of this server, of every kind.",
        "# TYPE hyperhive_http_streams gauge",
        "hyperhive_http_streams 0",
    ]
    assert read(answer.text)["hyperhive_mailbox_depth"].kind == "gauge"


def _observed(*seconds: float) -> Iterator[tuple[str, dict[str, str], float]]:
    histogram = Histogram()
    for one in seconds:
        histogram.observe(one)
    return (sample for sample in histogram.samples("took_seconds") if not sample[0].endswith("_max"))


def test_a_histogram_counts_upwards_and_sums_up() -> None:
    took = read(render(_observed(0.0, BOUNDS[0], 0.02, 0.02, 99.0), metrics=_SOME))["took_seconds"]
    assert took.value("took_seconds_bucket", le="0.0001") == 2  # a bound belongs to its own bucket
    assert took.value("took_seconds_bucket", le="0.01") == 2
    assert took.value("took_seconds_bucket", le="0.03") == 4
    assert took.value("took_seconds_bucket", le="10") == 4
    assert took.value("took_seconds_bucket", le="+Inf") == took.value("took_seconds_count") == 5
    assert took.value("took_seconds_sum") == pytest.approx(99.0401)
    assert ("took_seconds_max", {}, 99.0) in _all(99.0, 0.1)


def _all(*seconds: float) -> list[tuple[str, dict[str, str], float]]:
    histogram = Histogram()
    for one in seconds:
        histogram.observe(one)
    return histogram.samples("took_seconds")


@pytest.mark.parametrize(
    "sample",
    [
        ("jobs", {}, 1.0),
        ("jobs_total_bucket", {}, 1.0),
        ("took_seconds", {}, 1.0),
        ("jobs_total", {"a b": ""}, 1),
    ],
)
def test_a_name_nobody_knows_is_no_metric(sample: tuple[str, dict[str, str], float]) -> None:
    with pytest.raises(ValueError, match="not a metric"):
        render([sample], metrics=_SOME)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_stands_in_the_docs_with_its_type(name: str) -> None:
    row = next(
        (line for line in (ROOT / "docs/http.md").read_text().splitlines() if f"| `{name}`" in line), ""
    )
    assert f"| {METRICS[name].kind} |" in row, name
