"""``make bench``: prints every measurement as a ratio and writes ``bench/results.json``."""

import json
import logging
import platform
import sys
from pathlib import Path
from typing import Any

from bench import (
    commands,
    crowd,
    diffs,
    durable,
    fanout,
    idle,
    kills,
    proposals,
    snapshot,
    start,
    supervision,
    tools,
    updates,
)
from bench.measure import Row

CASES = {
    "commands": commands.rows,
    "start": start.rows,
    "tools": tools.rows,
    "supervision": supervision.rows,
    "kills": kills.rows,
    "idle": idle.rows,
    "durable": durable.rows,
    "proposals": proposals.rows,
    "snapshot": snapshot.rows,
    "updates": updates.rows,
    "diffs": diffs.rows,
    "fanout": fanout.rows,
    "crowd": crowd.rows,
}


def main(wanted: list[str]) -> int:
    """Run the cases named, or all."""
    if unknown := set(wanted) - set(CASES):
        print(f"No such case: {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}.", file=sys.stderr)
        return 2
    logging.disable(
        logging.CRITICAL
    )  # a crash's traceback is written off its path; here it would only scroll
    results = []
    for name in wanted or CASES:
        for row in CASES[name]():
            print(_line(row), flush=True)
            results.append(_entry(name, row))
    _keep(results, {*wanted} or {*CASES})
    return 0


def _line(row: Row) -> str:
    goal = (
        f"   goal {row.goal.sense} {row.goal.ratio:g}: {'met' if row.met else 'MISSED'}" if row.goal else ""
    )
    return (
        f"{row.name:<48} {row.ours:>10.1f} {row.unit:<6} {row.ratio:>7.2f} × {row.against} "
        f"({row.floor:.1f}){goal}"
    )


def _entry(case: str, row: Row) -> dict[str, Any]:
    entry = {"case": case, "name": row.name, "ours": row.ours, "floor": row.floor, "unit": row.unit}
    entry |= {"against": row.against, "ratio": round(row.ratio, 3)}
    if row.goal is not None:
        entry |= {"goal": f"{row.goal.sense} {row.goal.ratio:g}", "met": row.met}
    return entry


def _keep(results: list[dict[str, Any]], measured: set[str]) -> None:
    """Put the results in the place of those of the same cases; the others stay."""
    file = Path(__file__).with_name("results.json")
    try:
        former = json.loads(file.read_text())["results"]
    except (OSError, ValueError, KeyError):
        former = []
    kept = [entry for entry in former if entry["case"] in CASES and entry["case"] not in measured]
    order = {name: number for number, name in enumerate(CASES)}
    every = sorted(kept + results, key=lambda entry: order[entry["case"]])
    file.write_text(json.dumps({"python": platform.python_version(), "results": every}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
