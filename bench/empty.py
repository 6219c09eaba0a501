"""The daemon with one tool more, that does nothing: what a call costs before any tool has done a thing.

Run as a program, with the arguments of ``hyperhive``.
"""

import sys


def main() -> int:
    """Add the tool to every surface, then be ``hyperhive``."""
    from hyperhive.cli import main as command
    from hyperhive.mcp.agent import Messaging
    from hyperhive.mcp.toolbox import tool

    @tool("Nothing", reads=True, idempotent=True)
    async def nothing(self: Messaging) -> None:
        """Does nothing."""

    Messaging.nothing = nothing  # type: ignore[attr-defined]
    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
