"""How many examples a model is tried with."""

import os


def examples(all_of_them: int) -> int:
    """As many as given; a quarter of them in the quick part of the checks, which runs at every commit."""
    return max(3, all_of_them // 4) if os.environ.get("HYPERHIVE_EXAMPLES") == "few" else all_of_them
