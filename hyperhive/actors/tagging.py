"""An approval's tags in ``applied/``: the image of its row, made again whenever the two may disagree."""

from hyperhive.domain.approvals import ENDED, State, all_tags, tags
from hyperhive.domain.views import ApprovalView
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Tag

_PLAIN = frozenset({State.DEPLOYED})
"""Ends that carry no reason."""


def image(view: ApprovalView) -> tuple[dict[str, Tag], tuple[str, ...]]:
    """The tags that an approval has by its row, and those it must not have. None of either without a commit.

    The same row always gives the same tags, objects and all: dates are those of the decision.
    """
    if view.sha is None:
        return {}, ()
    found = dict.fromkeys(tags(view.id, view.state), Tag(view.sha))
    if view.state in ENDED - _PLAIN:
        failed = view.state is State.FAILED
        reason = view.outcome if failed else view.note
        by = "system" if failed else view.by or ""
        said = reason or f"{view.state.value} by {by}"
        found[f"{view.state}/{view.id}"] = Tag(view.sha, said, by, view.decided)
    return found, tuple(name for name in all_tags(view.id) if name not in found)


def remake(repos: Repositories, view: ApprovalView) -> None:
    """Make the tags as the row says, in one step."""
    make, drop = image(view)
    if make:
        repos.tag(view.agent, make=make, drop=drop)
