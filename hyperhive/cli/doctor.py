"""``doctor``: what works on this machine, and what to do about what does not. Needs no daemon."""

from hyperhive.cli import checks
from hyperhive.cli.checks import Check, Level
from hyperhive.cli.hive import print_json
from hyperhive.cli.parse import Args
from hyperhive.cli.show import line, paint, safe
from hyperhive.settings import Settings

_TONES = {Level.OK: "good", Level.WARN: "warn", Level.FAIL: "bad"}


def doctor(args: Args) -> int:
    """Print a line a check; 1 when something fails that keeps a hive from running."""
    found = examine()
    failed = any(check.level is Level.FAIL for check in found)
    if args.on("json"):
        print_json({"ok": not failed, "checks": [check._asdict() for check in found]})
        return int(failed)
    width = max(len(check.name) for check in found)
    for check in found:
        level = paint(f"{check.level:<4}", _TONES[check.level])
        line(f"{level}  {check.name:<{width}}  {safe(check.text)}")
        if check.fix:
            line(f"{'':<4}  {'':<{width}}  → {safe(check.fix)}")
    line("A hive cannot run here until what fails is mended." if failed else "A hive can run here.")
    return int(failed)


def examine() -> list[Check]:
    """All checks, in the order a newcomer meets their subjects."""
    settings, check = checks.settings()
    found = [checks.python(), checks.git(), check]
    if settings is not None:
        found += _with(settings)
    return [*found, checks.open_files(), *checks.inotify()]


def _with(settings: Settings) -> list[Check]:
    running = checks.running()
    return [
        running,
        checks.port(settings.host, settings.port, taken_by_us=running.level is Level.OK),
        checks.folder("home", settings.home, needs=2 * checks.GIB),
        checks.folder("run folder", settings.run, needs=0),
        checks.sockets(settings.run, settings.home),
        checks.claude(settings.claude, settings.home),
        checks.credentials(settings.home, rehearse=settings.rehearse),
        *checks.runtimes(settings.runtime),
    ]
