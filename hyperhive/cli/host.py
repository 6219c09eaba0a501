"""The commands that need this machine: the daemon itself, a terminal, a browser, the version."""

import gc
import os
import sys

from hyperhive.cli.errors import CommandError, Usage
from hyperhive.cli.hive import daemon, find, headline, print_json, segment, state
from hyperhive.cli.parse import Args
from hyperhive.cli.show import ago, line, safe, table


def up(args: Args) -> int:
    """``up``"""
    flags: dict[str, object] = {
        key: args.text(key) for key in ("home", "host", "runtime") if args.text(key) is not None
    }
    if args.text("port") is not None:
        flags["port"] = args.number("port", 65_535)
    flags |= {key: True for key in ("rehearse", "public") if args.on(key)}
    # The daemon's parts take a while to import, and make nothing that could be collected: it looks again later.
    gc.disable()
    from hyperhive.errors import HiveError
    from hyperhive.settings import BadSettings, Settings

    try:
        settings = Settings(**flags)
    except BadSettings as error:
        raise Usage(error.message) from None
    except HiveError as error:
        raise CommandError(error.message) from None
    except OSError as error:
        raise CommandError(
            f"{error.filename} cannot be read: {error.strerror}; "
            "run this as the hive's user, or choose another --home."
        ) from None
    except ValueError as error:  # not TOML, not UTF-8
        raise CommandError(f"The home's hyperhive.toml cannot be read: {error}; correct the file.") from None
    from hyperhive.start import run

    try:
        return int(run(settings, open_browser=_has_display() and not args.on("no_browser")))
    except HiveError as error:
        raise CommandError(error.message) from None


def open_dashboard(args: Args) -> int:
    """``open``"""
    url = str(daemon().json("POST", "/api/entry-link")["url"])
    if args.on("json"):
        return print_json({"url": url})
    line(safe(url))
    sys.stdout.flush()
    if _has_display():
        import webbrowser

        webbrowser.open(url)
    return 0


def _has_display() -> bool:
    # Without one a browser would be a text browser that takes this very terminal.
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def token(args: Args) -> int:
    """``token``"""
    found = str(daemon().json("GET", "/api/token")["token"])
    if args.on("json"):
        return print_json({"token": found})
    line(safe(found))
    return 0


def sessions(args: Args) -> int:
    """``sessions``"""
    answer = daemon().json("DELETE" if args.on("end") else "GET", "/api/sessions")
    if args.on("json"):
        return print_json(answer)
    found = answer["sessions"]
    if args.on("end"):
        line(f"Ended: {len(found)}. Entry links that were open do not work any more either.")
    elif not found:
        line("No browser is logged in.")
    else:
        table(("SESSION", "FROM", "SINCE", "LAST USED"), [_session(one) for one in found])
    return 0


def _session(one: dict[str, str]) -> tuple[str, ...]:
    return one["id"], one["where"], ago(one["opened"]), ago(one["used"])


def version(args: Args) -> int:
    """``version``"""
    from hyperhive import __version__

    if args.on("json"):
        return print_json({"version": __version__})
    line(f"hyperhive {__version__}")
    return 0


def shell(args: Args) -> int:
    """``shell NAME``: becomes the command that enters the container."""
    name = args.word("name")
    hive = daemon()
    find(state(hive), name)
    argv = [str(word) for word in hive.json("GET", f"/api/agents/{segment(name)}/shell")["argv"]]
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise CommandError(
            f"{argv[0]} could not be started: {error.strerror}; run this as the daemon's user."
        ) from None


def login(args: Args) -> int:
    """``login NAME``: Claude Code's own login, in this terminal, into the agent's folder."""
    from hyperhive.cli.credentials import log_in

    name = args.word("name")
    hive = daemon()
    snapshot = state(hive)
    find(snapshot, name)
    place = hive.json("GET", f"/api/agents/{segment(name)}/login")
    folder, claude = str(place["folder"]), str(place["claude"])
    _own(folder)
    line(headline(snapshot))
    line(f"Claude Code's login for '{name}': open the address it prints, then paste the code here.")
    sys.stdout.flush()
    code = log_in(claude, folder)
    if code != 0:
        raise CommandError(
            f"The login of '{name}' was not completed (Claude Code ended with {code}); try again."
        )
    rehearsal = " The hive is in rehearsal: start it again without --rehearse to use it."
    line(f"'{name}' is logged in.{rehearsal if snapshot['hive']['mode'] == 'rehearsal' else ''}")
    return 0


def _own(folder: str) -> None:
    try:
        owner = os.stat(folder).st_uid
    except OSError as error:
        raise CommandError(
            f"No access to {folder}: {error.strerror}; "
            "a login works only on the hive's host, as the daemon's user."
        ) from None
    if owner != os.geteuid():
        raise CommandError(
            f"{folder} belongs to uid {owner}; "
            "a login works only as the daemon's user, or its files would not be the agent's."
        )
