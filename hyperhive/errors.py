"""The errors of the hive: refused (the caller's), gone (was there once), broken (ours or the machine's).

A message is one sentence that says what happened and what to do; it is shown as it is.
"""


class HiveError(Exception):
    """Base of all errors that may be shown to a caller.

    Args:
        message: one sentence for a human.
        code: a stable slug for programs, e.g. ``unknown-agent``.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class Refused(HiveError):
    """What was asked for is not allowed or not possible as things stand; nothing was changed."""

    code = "refused"


class Invalid(Refused):
    """The request itself is malformed: a bad name, a body too long, an unknown key."""

    code = "invalid"


class Unknown(Refused):
    """Nothing by that name or number exists."""

    code = "unknown"


class Gone(HiveError):
    """It existed once and does no more."""

    code = "gone"


class Broken(HiveError):
    """The hive or its machine failed; the same call may succeed later."""

    code = "broken"


class Deadline(Broken):
    """No answer within the deadline; whether it took effect shows in the events."""

    code = "deadline"
