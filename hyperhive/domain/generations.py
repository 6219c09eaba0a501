"""Which generation an agent can go back to. Pure."""

from hyperhive.domain.views import GenerationView
from hyperhive.errors import Refused


def earlier(name: str, history: tuple[GenerationView, ...], wanted: int | None) -> int:
    """The number of the generation to go back to.

    Args:
        history: the agent's generations, with those that are ``here`` and the ``current`` one marked.
        wanted: which; ``None``: the one before the current one.

    Raises:
        Refused: it is not there any more, or there is none; names those there are.
    """
    current = next((view.number for view in history if view.current), 0)
    here = [view.number for view in history if view.here and not view.current]
    target = wanted if wanted is not None else max((n for n in here if n < current), default=None)
    if target in here and target is not None:
        return target
    if target is None:
        reason = f"'{name}' has no earlier generation to go back to"
    elif target == current:
        reason = f"'{name}' runs generation {target} already"
    else:
        reason = f"'{name}' has no generation {target}, or not any more"
    known = f"there are: {', '.join(map(str, here))}" if here else "there is no other that was kept"
    raise Refused(f"{reason}; {known}.", code="unknown-generation")
