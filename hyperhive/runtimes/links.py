"""Shares of a container without walls: a folder of links in the container's own folder."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath

from hyperhive.errors import Broken
from hyperhive.runtimes.base import Bind

_PLACE = "agents"


def place(folder: Path) -> Path:
    """Where the shares of the container with this ``folder`` are."""
    return folder / _PLACE


def prepare(folder: Path, *, shares: bool) -> None:
    """Before a start: no shares, and with ``shares`` a place for them."""
    root = place(folder)
    if root.is_symlink():  # the payload's: what is behind it is not ours to tidy
        root.unlink()
    if root.is_dir():
        _sync(root, {})
    if shares:
        root.mkdir(exist_ok=True, mode=0o700)
    else:
        with suppress(OSError):
            root.rmdir()


def show(folder: Path, shares: Iterable[Bind]) -> None:
    """Make exactly these links; see ``Runtime.share``. What is no link is never removed.

    Raises:
        Broken: the container was started without shares, or one is not there; the others are shown.
    """
    root, wanted = place(folder), placed(shares)
    if root.is_symlink() or not root.is_dir():
        raise no_place()
    missing = [inside for inside, bind in wanted.items() if not _is_plain(bind.host, folder)]
    try:
        _sync(root, {inside: bind.host for inside, bind in wanted.items() if inside not in missing})
    except OSError as error:
        raise Broken(f"Folders could not be shown inside: {error}.", code="share-failed") from error
    if missing:
        raise not_there(wanted[inside].host for inside in missing)


def trusted(host: Path, folder: Path) -> Path:
    """The part of the way to ``host`` that is also the way to the container's own ``folder``.

    Whoever could put a link there could as well replace what the container runs; below it none is followed.
    """
    return Path(os.path.commonpath((host, folder)))


def placed(shares: Iterable[Bind]) -> dict[str, Bind]:
    """The shares by where they appear.

    Raises:
        Broken: a place is not relative, leads out, or lies in that of another.
    """
    found: dict[str, Bind] = {}
    for bind in shares:
        parts = PurePath(bind.inside).parts
        if not parts or bind.inside.is_absolute() or ".." in parts or str(bind.inside) in found:
            raise Broken(f"'{bind.inside}' is no place for a share.", code="bad-share")
        found[str(bind.inside)] = bind
    for inside in found:
        if any(str(parent) in found for parent in PurePath(inside).parents):
            raise Broken(f"'{inside}' lies in another share.", code="bad-share")
    return found


def no_place() -> Broken:
    """What to say of a container that cannot be shown anything."""
    return Broken(
        "Nothing can be shown in a container that was started without shares; restart it.", code="no-shares"
    )


def not_there(hosts: Iterable[Path | str]) -> Broken:
    """What to say of shares that are no folders, or behind links."""
    listed = ", ".join(str(host) for host in hosts)
    return Broken(f"Not shown inside, for each is no folder or behind a link: {listed}.", code="share-failed")


def _is_plain(host: Path, folder: Path) -> bool:
    above = trusted(host, folder)
    way = (host, *(parent for parent in host.parents if parent != above and parent.is_relative_to(above)))
    return host.is_dir() and not any(part.is_symlink() for part in way)


def _sync(root: Path, wanted: dict[str, Path]) -> None:
    for link in tuple(_links(root)):
        inside = str(link.relative_to(root))
        if inside not in wanted or link.readlink() != wanted[inside]:
            link.unlink()
    for inside, host in wanted.items():
        link = root / inside
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            link.symlink_to(host)
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root:
            with suppress(OSError):
                Path(folder).rmdir()


def _links(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        yield from (path for name in (*folders, *files) if (path := Path(folder) / name).is_symlink())
