"""``make soak``: hours of a hive's life in compressed time, then real agents in rehearsal; then the verdict."""

import argparse
import asyncio
import sys
import time

from soak.compressed import Plan, run
from soak.report import judge, table

ROUND = 60.0
"""Seconds of load in a round; at the default speed an hour of the hive's."""


def main(argv: list[str] | None = None) -> int:
    """Run the soak; 1 when something grew or a client saw a fault."""
    options = _parser().parse_args(argv)
    plan = Plan(
        seconds=options.minutes * 60,
        load=min(ROUND, options.minutes * 60 / 10),
        agents=options.agents,
        speed=options.speed,
        seed=options.seed,
        port=options.port,
        trace=options.trace,
    )
    began = time.monotonic()
    soaked = asyncio.run(run(plan, lambda line: print(line, flush=True)))
    hours = (time.monotonic() - began) * plan.speed / 3600
    trends = judge(soaked.rounds)
    done = ", ".join(f"{count} {what}" for what, count in sorted(soaked.done.items()))
    print(f"\n{plan.agents} agents, {hours:.1f} hours of the hive's: {done}\n\n{table(trends)}")
    grew = [one.name for one in trends if one.grew]
    for line in soaked.faults[:20]:
        print(f"FAULT {line}")
    if grew:
        print("\n".join(["", f"Grew: {', '.join(grew)}. More than in the first round:", *soaked.grown]))
    print(
        "\nAt the end as at the beginning."
        if not grew and not soaked.faults
        else "\nNot as at the beginning."
    )
    return 1 if grew or soaked.faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long it runs")
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument(
        "--speed", type=float, default=60.0, help="seconds of the hive's in one of the clock's"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=7500)
    parser.add_argument("--trace", action="store_true", help="also say where memory came from; slow")
    return parser


if __name__ == "__main__":
    sys.exit(main())
