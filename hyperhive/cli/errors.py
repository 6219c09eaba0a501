"""How a command ends when it cannot do what it was asked."""


class CommandError(Exception):
    """Ends a command with one line on stderr: what, why, what to do.

    Args:
        message: that line.
        exit_code: the process's exit code.
    """

    exit_code = 1

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if exit_code is not None:
            self.exit_code = exit_code


class Usage(CommandError):
    """The arguments are wrong."""

    exit_code = 2


class NoDaemon(CommandError):
    """No daemon answers on the socket."""

    exit_code = 3
