"""An approval's tags in ``applied/``: the image of its row, made again whenever the two may disagree."""

import logging
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter

from hyperhive.actors.layout import Layout
from hyperhive.domain.approvals import ENDED, State, all_tags, tags
from hyperhive.domain.views import ApprovalView
from hyperhive.errors import HiveError
from hyperhive.repos import refs
from hyperhive.repos.repositories import Repositories
from hyperhive.repos.values import Tag

log = logging.getLogger(__name__)

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


def amiss(layout: Layout, views: Iterable[ApprovalView]) -> list[ApprovalView]:
    """Those of ended approvals whose tags are not what their rows say. Starts no process.

    What belonged to an earlier one of that name, or to a draft that is gone, is none of them.
    """
    found, of = [], attrgetter("agent")
    for name, group in groupby(sorted(views, key=of), of):
        git = layout.agent(name).applied / ".git"
        mine = [view for view in group if view.sha is not None and view.state in ENDED]
        mine = [view for view in mine if refs.may_hold(git, view.sha or "")]
        try:
            there = refs.read_tags(git, [tag for view in mine for tag in all_tags(view.id)]) if mine else {}
        except HiveError as error:
            log.warning("The tags of %s cannot be compared with the record: %s", name, error)
            continue
        found += [view for view in mine if _differs(view, there)]
    return found


def _differs(view: ApprovalView, there: Mapping[str, str]) -> bool:
    make, drop = image(view)
    wrong = any(not tag.message and there.get(name) != tag.sha for name, tag in make.items())
    return wrong or not make.keys() <= there.keys() or any(name in there for name in drop)


def remake(repos: Repositories, view: ApprovalView) -> None:
    """Make the tags as the row says, in one step."""
    make, drop = image(view)
    if make:
        repos.tag(view.agent, make=make, drop=drop)
