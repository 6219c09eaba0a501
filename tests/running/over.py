"""A hive over a rig's tree."""

from hyperhive.bridge import Bridge
from hyperhive.running.hive import RunningHive
from tests.actors.rig import Rig


def over(rig: Rig, bridge: Bridge) -> RunningHive:
    """The façade over a rig that is up."""
    return RunningHive(
        tree=rig.tree,
        database=rig.database,
        bridge=bridge,
        watcher=rig.watcher,
        runtime=rig.runtime,
        repos=rig.repos,
    )
