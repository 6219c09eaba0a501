"""What a backup holds and says of itself."""

from pathlib import PurePosixPath
from typing import Literal

from pydantic import ConfigDict, ValidationError

from hyperhive.domain.names import check_name
from hyperhive.domain.value import Value
from hyperhive.errors import Broken, HiveError, Refused

FIRST, LAST = "hyperhive-backup.json", "hyperhive-end.json"
"""The members that a backup begins and ends with."""
DATABASE = "hive.sqlite"
SECRETS = ("operator.token", "environments")
"""What of the home lets in whoever has it; the agents' logins do too."""
LOGIN = ".credentials.json"
FORMAT = 1

_TOP = (DATABASE, "hyperhive.toml", *SECRETS, "agents")
_LINKS_BELOW = 3
"""Parts of a path below which links may be: in an agent's own folders."""


class Manifest(Value):
    """What a backup says of itself.

    Args:
        version: the hyperhive that made it.
        made: when, RFC 3339.
        home: where the hive was.
        uid: whose it was.
        secrets: whether tokens, logins and environments are in it.
    """

    model_config = ConfigDict(extra="ignore")

    format: int
    version: str
    made: str
    home: str
    uid: int
    secrets: bool


class End(Value):
    """How many members there were, this one not counted."""

    entries: int


def read_manifest(text: bytes) -> Manifest:
    """The manifest of a backup.

    Raises:
        Refused: it is of a later format.
        Broken: it is none.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise Broken("its first member is no manifest of hyperhive's", code="no-backup") from None
    if manifest.format != FORMAT:
        raise Refused(
            f"it was made by hyperhive {manifest.version} in a format that this one does not know; "
            "restore it with that version",
            code="newer-backup",
        )
    return manifest


def check_member(path: str, kind: Literal["folder", "file", "link", "other"]) -> None:
    """Refuse a member that no backup of ours has: it could lead out of the home, or into it past its rules.

    Raises:
        Broken: with what is wrong with it.
    """
    parts = path.split("/")
    if not path or path != str(PurePosixPath(path)) or ".." in parts or parts[0] not in _TOP or "\0" in path:
        raise Broken(f"{path[:200]!r} has no place in a hive's home", code="bad-member")
    if parts[0] == "agents" and len(parts) > 1:
        try:
            check_name(parts[1])
        except HiveError as error:
            raise Broken(f"{path[:200]!r} is no agent's: {error.message}", code="bad-member") from None
    if kind == "other":
        raise Broken(f"{path[:200]!r} is neither a file nor a folder nor a link", code="bad-member")
    if kind == "link" and not (parts[0] == "agents" and len(parts) > _LINKS_BELOW):
        raise Broken(f"{path[:200]!r} is a link, where only a file or a folder may be", code="bad-member")
