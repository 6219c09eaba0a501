"""Why bubblewrap does not work on a machine, and what to type."""

import shutil
from pathlib import Path

from hyperhive.runtimes.base import Probe

_INSTALL = {
    "apt-get": "apt-get install bubblewrap",
    "dnf": "dnf install bubblewrap",
    "pacman": "pacman -S bubblewrap",
    "zypper": "zypper install bubblewrap",
    "apk": "apk add bubblewrap",
    "xbps-install": "xbps-install bubblewrap",
    "emerge": "emerge sys-apps/bubblewrap",
    "nix-env": "nix-env -iA nixpkgs.bubblewrap",
}


def install_bwrap() -> str:
    """The command that installs bubblewrap here, to be typed as root."""
    for tool, command in _INSTALL.items():
        if shutil.which(tool):
            return f"as root: {command}"
    return "install the package 'bubblewrap'"


def explain(said: str, *, sysctls: Path = Path("/proc/sys")) -> Probe:
    """What a failed ``bwrap`` means.

    Args:
        said: its stderr.
        sysctls: where the kernel's settings are.
    """
    if _setting(sysctls, "kernel/unprivileged_userns_clone") == 0:
        return _no("user namespaces are only for root here", "sysctl -w kernel.unprivileged_userns_clone=1")
    if _setting(sysctls, "user/max_user_namespaces") == 0:
        return _no("user namespaces are switched off", "sysctl -w user.max_user_namespaces=15000")
    if _setting(sysctls, "kernel/apparmor_restrict_unprivileged_userns") == 1 and _denied(said):
        return _no(
            "AppArmor keeps user namespaces from programs without a profile",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give bwrap a profile with userns",
        )
    last = said.strip().splitlines()[-1] if said.strip() else "bwrap failed without a word"
    if "mount proc" in said or "proc on /newroot" in said:
        return Probe(
            works=False,
            reason=f"no /proc can be mounted, as in a container with a masked one ({last})",
            fix="start the outer container with systempaths=unconfined, or use --runtime process",
        )
    if _denied(said):
        return Probe(
            works=False,
            reason=f"namespaces are not allowed here ({last})",
            fix="in a container: allow user namespaces (seccomp, AppArmor); else use --runtime process",
        )
    return Probe(works=False, reason=last, fix="install a newer bubblewrap, or use --runtime process")


def _no(reason: str, fix: str) -> Probe:
    return Probe(works=False, reason=reason, fix=f"as root: {fix}")


def _denied(said: str) -> bool:
    return any(word in said for word in ("Permission denied", "not permitted", "No permissions"))


def _setting(sysctls: Path, name: str) -> int | None:
    try:
        return int((sysctls / name).read_text())
    except (OSError, ValueError):
        return None
