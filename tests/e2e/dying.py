"""The daemon as a test starts it to die: kill -9 of itself as it comes to the step that a file names.

Run as a program, with the arguments of ``hyperhive``. As long as there is no such file it is the daemon itself.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEP_FILE = "HYPERHIVE_TEST_DIES_AT"
"""The environment variable that has the path of the file that names the step."""


class Death:
    """Comes once, at the step that is named."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next: list[str] = []

    def here(self, step: str) -> None:
        """This is the step ``step``."""
        with contextlib.suppress(OSError):
            if self._file.read_text() == step:
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()

    def around(self, owner: Any, name: str, step: str) -> None:
        """``before <step>`` and ``after <step>`` are steps: the call of that name, and its return."""
        call = getattr(owner, name)

        def dying(*args: Any, **more: Any) -> Any:
            self.here(f"before {step}")
            result = call(*args, **more)
            self.here(f"after {step}")
            return result

        setattr(owner, name, dying)

    def says(self, log: Any) -> None:
        """``said <step>``: a build has said a step."""
        say = log.say

        def saying(log: Any, step: Any, text: str = "") -> None:
            say(log, step, text)
            self.here(f"said {step.value}")

        log.say = saying

    def records(self, owner: Any, name: str, what: str) -> None:
        """What is written in a transaction: ``before recording <what>`` and ``after`` are about its commit."""
        write = getattr(owner, name)

        def writing(*args: Any, **more: Any) -> Any:
            result = write(*args, **more)
            self._next.append(what)
            return result

        setattr(owner, name, writing)

    def commits(self, database: Any) -> None:
        """The commits, which run in one thread with what is written in them."""
        commit = database.commit

        def committing(database: Any) -> None:
            written, self._next = self._next, []
            for what in written:
                self.here(f"before recording {what}")
            commit(database)
            for what in written:
                self.here(f"after recording {what}")

        database.commit = committing

    def tags(self, repositories: Any, tree: Any) -> None:
        """``before tagging <state>``, ``after`` it, and in between, where the refs are ahead of the files."""
        tag, bring, now = repositories.tag, tree.bring, threading.local()

        def tagging(repositories: Any, name: str, *, make: Any, **more: Any) -> None:
            now.word = [*(make or ["main/"])][-1].partition("/")[0]
            self.here(f"before tagging {now.word}")
            try:
                tag(repositories, name, make=make, **more)
                self.here(f"after tagging {now.word}")
            finally:
                now.word = ""

        def bringing(tree: Any, sha: str) -> None:
            self.here(f"between tagging {getattr(now, 'word', '')}")
            bring(tree, sha)

        repositories.tag, tree.bring = tagging, bringing


def main(file: Path, run: Callable[[list[str]], int]) -> int:
    """Put the steps in place, then be the daemon."""
    from hyperhive.actors import approving, builder, deploying, job, lifecycle, operations
    from hyperhive.actors.build_log import BuildLog
    from hyperhive.repos import repositories, worktree
    from hyperhive.runtimes.bubblewrap import Bubblewrap
    from hyperhive.store.database import Database

    death = Death(file)
    death.says(BuildLog)
    death.records(approving, "resolve", "a decision")
    death.records(lifecycle, "record_begin", "the beginning")
    death.records(lifecycle, "record_end", "the end")
    death.records(lifecycle, "record_unborn", "the end")
    death.commits(Database)
    death.tags(repositories.Repositories, worktree.WorkTree)
    death.around(builder, "_copy_own", "copying the harness")
    death.around(builder.Builder, "build", "building")
    death.around(builder.Builder, "tidy", "tidying")
    death.around(deploying.Deploying, "failed", "undoing tags")
    death.around(operations.Operations, "_go_back", "going back")
    death.around(Bubblewrap, "stop", "stopping")
    death.around(Bubblewrap, "start", "starting")
    death.around(job.Job, "wait_ready", "waiting until ready")
    return run(sys.argv[1:])


if __name__ == "__main__":
    from hyperhive.cli import main as hyperhive

    sys.exit(main(Path(os.environ[STEP_FILE]), hyperhive))
