"""``make soak``: hours of a hive's life in compressed time, then real agents in rehearsal; then the verdict.

Two thirds of the time go to hundreds of agents on a fake runtime, for which an hour passes in a minute; the rest to
the daemon as it is, with real containers and Claude Code. It ends with 1 when anything is more at the end than at
the beginning, or a client saw what it never should.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

from soak import compressed, rehearsed
from soak.compressed import LEAST
from soak.report import judge, table
from soak.retained import BOUNDS, FULL

ROUND = 60.0
"""Seconds of load in a round; at the default speed an hour of the hive's."""


def main(argv: list[str] | None = None) -> int:
    """Run what was asked for; 0 when nothing grew."""
    options = _parser().parse_args(argv)
    parts = [options.only] if options.only else ["compressed", "rehearsed"]
    seconds = options.minutes * 60
    good = True
    if "compressed" in parts:
        good &= _compressed(options, seconds * (1 if options.only else 2 / 3))
    if "rehearsed" in parts:
        good &= _rehearsed(options, seconds * (1 if options.only else 1 / 3))
    _say("\nAt the end as at the beginning." if good else "\nNot as at the beginning.")
    return 0 if good else 1


def _compressed(options: argparse.Namespace, seconds: float) -> bool:
    plan = compressed.Plan(
        seconds=seconds,
        load=min(ROUND, seconds / 10),
        agents=options.agents,
        speed=options.speed,
        seed=options.seed,
        port=options.port,
        trace=options.trace,
    )
    began = time.monotonic()
    soaked = asyncio.run(compressed.run(plan, _say))
    hours = (time.monotonic() - began) * plan.speed / 3600
    _say(f"\n{plan.agents} agents on a fake runtime, {hours:.1f} hours of the hive's")
    grew = _verdict(soaked.rounds, soaked.done, BOUNDS)
    if grew:
        _say("\n".join(["More than in the first round:", *soaked.grown]))
    for line in soaked.faults[:20]:
        _say(f"A client saw: {line}")
    return not grew and not soaked.faults


def _rehearsed(options: argparse.Namespace, seconds: float) -> bool:
    plan = rehearsed.Plan(seconds=seconds, load=min(ROUND, seconds / 8), port=options.port + 1)
    soaked = asyncio.run(rehearsed.run(plan, _say))
    _say(f"\n{plan.agents} agents in rehearsal, {seconds / 60:.1f} minutes")
    return not _verdict(soaked.rounds, soaked.done, FULL)


def _verdict(
    rounds: Sequence[Mapping[str, float]], done: Mapping[str, int], bounds: Mapping[str, float]
) -> list[str]:
    """Print the table; the names of what grew."""
    if len(rounds) < LEAST:
        _say(f"Only {len(rounds)} rounds came to their end; {LEAST} are wanted to compare.")
        return ["what could not be compared"]
    trends = judge(rounds, bounds)
    _say(", ".join(f"{count} {what}" for what, count in sorted(done.items())))
    _say(f"\n{table(trends)}\n")
    grew = [one.name for one in trends if one.grew]
    if grew:
        _say(f"Grew: {', '.join(grew)}.")
    return grew


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long it runs")
    parser.add_argument("--only", choices=("compressed", "rehearsed"), help="one part of it")
    parser.add_argument("--agents", type=int, default=200, help="on the fake runtime")
    parser.add_argument(
        "--speed", type=float, default=60.0, help="seconds of the hive's in one of the clock's"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=7500, help="this one and the next are used")
    parser.add_argument("--trace", action="store_true", help="also say where memory came from; slow")
    return parser


if __name__ == "__main__":
    sys.exit(main())
