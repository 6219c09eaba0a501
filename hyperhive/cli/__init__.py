"""The commands: parse, call the daemon over its socket, print. Importing this costs nothing."""


def main(argv: list[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the arguments after the program's name; ``None``: the process's own.

    Returns:
        0 done, 1 refused or failed, 2 wrong usage, 3 no daemon, 130 interrupted.
    """
    from hyperhive.cli.run import run

    return run(argv)
