"""What a container sees of the host, as arguments for ``bwrap``. Everything else is not there."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from hyperhive.errors import Broken, Refused
from hyperhive.runtimes import outer
from hyperhive.runtimes.base import Bind, LaunchSpec

UID = 1000
"""User and group inside; outside it is whoever runs the daemon."""
HOME = "/home/agent"
SHARED = Path("/agents")
"""Where shares appear."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"

_SYSTEM = Path("/run/current-system")
"""Where NixOS keeps its programs; a link into the store."""
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
)
"""What common programs read: linker, names, certificates, time. Nothing that may hold a secret."""

_MIB = 1 << 20
_SIZES = {"/tmp": 1024 * _MIB, "/run": 64 * _MIB, "/dev/shm": 256 * _MIB}
_HOME_SIZE = 256 * _MIB


class Sources:
    """Host paths to show, with a detour for those that ``bwrap`` itself could not walk to.

    In its user namespace it has no rights over other users' folders, not even when root started it. So what lies
    in one that only its owner may pass is staged in the mount namespace around it first; see ``outer``.
    """

    def __init__(self) -> None:
        self._staged: list[tuple[Path, str]] = []

    def bind(self, host: Path, inside: Path, *, writable: bool = False) -> tuple[str, ...]:
        """The arguments that show ``host`` as ``inside``."""
        option = "--bind" if writable else "--ro-bind"
        if os.geteuid() != 0 or not _behind_another_user(host):
            return option, str(host), str(inside)
        place = f"{outer.PORCH}/stage/{len(self._staged)}"
        self._staged.append((host, place))
        return option, place, str(inside)

    @property
    def staged(self) -> tuple[str, ...]:
        """The options for ``outer`` that stage what was asked for."""
        return tuple(word for host, place in self._staged for word in ("--stage", str(host), place))


def base(*, hostname: str, home: str, disable_userns: bool) -> list[str]:
    """Namespaces, the host's programs, and folders of its own; ``seal`` belongs at the end."""
    args = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    args += ["--uid", str(UID), "--gid", str(UID), "--hostname", hostname, "--new-session"]
    args += ["--cap-drop", "ALL"]
    if disable_userns:
        args.append("--disable-userns")
    for path in ("/usr", "/nix/store"):
        if Path(path).is_dir():
            args += ["--ro-bind", path, path]
    for path in _MERGED:
        if Path(path).is_symlink():
            args += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            args += ["--ro-bind", path, path]
    # A daemon of root's maps its own uid into the container: without this the host's /proc/sys, which looks
    # at nothing but the uid, would be writable inside.
    args += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
    for path, size in _SIZES.items():
        mode = "0755" if path == "/run" else "1777"
        args += ["--perms", mode, "--size", str(size), "--tmpfs", path]
    args += ["--remount-ro", "/dev", "--perms", "0700", "--size", str(_HOME_SIZE), "--tmpfs", home]
    if _SYSTEM.is_symlink():
        args += ["--symlink", str(_SYSTEM.readlink()), str(_SYSTEM)]
    return args


def seal() -> list[str]:
    """After all binds: the root itself becomes read-only."""
    return ["--remount-ro", "/"]


def etc(spec: LaunchSpec, home: str, shell: str, sources: Sources) -> list[str]:
    """A minimal ``/etc``; what is not the host's is written into the spec's folder first."""
    own = spec.folder / "etc"
    own.mkdir(exist_ok=True, mode=0o755)
    try:
        hosts = Path("/etc/hosts").read_text()
    except OSError:
        hosts = "127.0.0.1 localhost\n::1 localhost\n"
    files = {
        "passwd": f"root:x:0:0::/nonexistent:/bin/false\nagent:x:{UID}:{UID}:{spec.name}:{home}:{shell}\n"
        "nobody:x:65534:65534::/nonexistent:/bin/false\n",
        "group": f"root:x:0:\nagent:x:{UID}:\nnogroup:x:65534:\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "hosts": f"{hosts.rstrip()}\n127.0.1.1 {spec.name}\n",
        "hostname": f"{spec.name}\n",
    }
    args: list[str] = []
    for name, text in files.items():
        (own / name).write_text(text)
        args += sources.bind(own / name, Path("/etc", name))
    for path in _ETC:
        args += ["--ro-bind-try", path, path]
    return args


def programs(paths: Iterable[Path], folder: Path, sources: Sources) -> list[str]:
    """Show each path read-only at its own place, through all links on the way, and nothing twice.

    Raises:
        Broken: one is not there.
        Refused: one would show the daemon's own folder.
    """
    links: dict[Path, str] = {}
    places: set[Path] = set()
    for path in paths:
        places.add(_follow(path, links))
    args: list[str] = []
    shown = [Path("/nix/store"), *(Path(p) for p in ("/usr", *_MERGED))]
    for place in (*shown, *places):
        if folder.resolve().is_relative_to(place):
            raise Refused(
                f"{place} cannot be shown inside: the hive's own files are in it.", code="bad-program"
            )
    for place in sorted(places, key=lambda p: len(p.parts)):
        if any(place.is_relative_to(seen) for seen in shown):
            continue
        args += sources.bind(place, place)
        shown.append(place)
    for link, target in links.items():
        if not any(link.is_relative_to(seen) for seen in shown):
            args += ["--symlink", target, str(link)]
    return args


def clear(folder: Path) -> None:
    """Remove what was written into the spec's folder: files only."""
    with suppress(OSError):
        for entry in (folder / "etc").iterdir():
            entry.unlink()
        (folder / "etc").rmdir()


def binds(found: tuple[Bind, ...], sources: Sources) -> list[str]:
    """The spec's binds, outer ones first, so that one may lie in another.

    Raises:
        Broken: a host path is not there.
    """
    args: list[str] = []
    for bind in sorted(found, key=lambda b: len(b.inside.parts)):
        if not bind.host.exists():
            raise Broken(f"{bind.host} is not there.", code="start-failed")
        args += sources.bind(bind.host, bind.inside, writable=bind.writable)
    return args


def environment(env: dict[str, str], home: str, shell: str) -> list[str]:
    """The whole environment of the payload."""
    defaults = {"PATH": PATH, "LANG": "C.UTF-8", "USER": "agent", "LOGNAME": "agent", "SHELL": shell}
    args = ["--clearenv"]
    for key, value in {**defaults, "HOME": home, **env}.items():
        args += ["--setenv", key, value]
    return args


def inside(found: tuple[Bind, ...], host: Path) -> Path:
    """Where a host path appears among these binds; one in none of them keeps its place."""
    fitting = [bind for bind in found if host.is_relative_to(bind.host)]
    if not fitting:
        return host
    closest = max(fitting, key=lambda bind: len(bind.host.parts))
    return closest.inside / host.relative_to(closest.host)


def _follow(path: Path, links: dict[Path, str]) -> Path:
    """Where ``path`` really is; the links met on the way are added to ``links``."""
    rest = list(reversed(Path(os.path.normpath(path.absolute())).parts[1:]))
    here = Path("/")
    for _ in range(4096):
        if not rest:
            return here
        here /= rest.pop()
        if here.name == "..":
            here = here.parent.parent
        elif here.is_symlink():
            target = str(here.readlink())
            links[here] = target
            rest += reversed([part for part in Path(target).parts if part not in ("/", ".")])
            here = Path("/") if target.startswith("/") else here.parent
        elif not here.exists():
            break
    raise Broken(f"{path} is not there, or not to be read.", code="start-failed")


def _behind_another_user(path: Path) -> bool:
    """Whether the way to ``path`` leads through a folder that only another user may pass.

    In its user namespace ``bwrap`` has no more rights over other users' folders, not even as root.
    """
    return any(_closed(parent) for parent in Path(os.path.realpath(path)).parents)


def _closed(folder: Path) -> bool:
    found = folder.stat()
    if found.st_uid == os.geteuid():
        return not found.st_mode & 0o100
    if found.st_gid == os.getegid():
        return not found.st_mode & 0o010
    return not found.st_mode & 0o001


def shells() -> Iterator[str]:
    """Shells to log in with, the best first."""
    yield from (path for path in ("/bin/bash", "/usr/bin/bash", "/bin/sh") if Path(path).exists())
