"""``make bench``: prints every measurement as a ratio and writes ``bench/results.json``."""

import json
import logging
import platform
import sys
from pathlib import Path

from bench import commands, diffs, durable, proposals, snapshot, supervision, updates

CASES = {
    "commands": commands.rows,
    "supervision": supervision.rows,
    "durable": durable.rows,
    "proposals": proposals.rows,
    "snapshot": snapshot.rows,
    "updates": updates.rows,
    "diffs": diffs.rows,
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
            print(
                f"{row.name:<42} {row.ours:>10.1f} {row.unit:<6} {row.ratio:>7.2f} × {row.against} "
                f"({row.floor:.1f})",
                flush=True,
            )
            results.append(
                {"case": name, "name": row.name, "ours": row.ours, "floor": row.floor}
                | {"unit": row.unit, "against": row.against, "ratio": round(row.ratio, 3)}
            )
    file = Path(__file__).with_name("results.json")
    file.write_text(json.dumps({"python": platform.python_version(), "results": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
