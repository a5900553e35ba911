"""The range of addresses that this node's pods get: what its Node says in spec.podCIDR.

In:    a client that is the node, what the agent registers. Out: the range; kept in `<data dir>/node-range`, so that pods start
       after a reboot before the API answers.
How:   a node that is not registered yet is; kube-controller-manager's node-ipam-controller, ours or upstream's, gives it a range.
"""

import asyncio
import logging
from ipaddress import IPv4Network
from pathlib import Path

from wherry.assembly.node import NodeSettings
from wherry.kit import atomic_file
from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.node.machine import read_machine
from wherry.orchestration.agent.node.objects import new_node
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import NODES

RETRY_S_SOON, RETRY_S_LATER = 0.03, 1.0  # `wherry up` waits for it; later only somebody's mend can help
SOON_S = 5.0

log = logging.getLogger(__name__)


def range_file(settings: NodeSettings) -> Path:
    """Holds the range once it is known."""
    return settings.data_dir / "node-range"


async def node_range(settings: NodeSettings, client: Client, agent: AgentSettings) -> str:
    """The range the API names; without an answer the one that was named last. Waits until there is either."""
    kept = _kept(settings)
    waited_s = 0.0
    while True:
        try:
            named = await _named(client, agent, settings)
        except WherryError as error:
            if kept:
                return kept
            log.debug("range of this node not known yet: %s", error)
        else:
            if named:
                if named != kept:
                    atomic_file.write(range_file(settings), named.encode())
                return named
        delay_s = RETRY_S_SOON if waited_s < SOON_S else RETRY_S_LATER
        if waited_s < SOON_S <= waited_s + delay_s:
            log.warning("no range yet: is the API there, and has a node-ipam-controller set podCIDR of %s?", settings.node_name)
        await asyncio.sleep(delay_s)
        waited_s += delay_s


async def _named(client: Client, agent: AgentSettings, settings: NodeSettings) -> str:
    try:
        found = await client.get(NODES, settings.node_name)
    except NotFound:
        try:
            found = await client.create(NODES, new_node(read_machine(settings.data_dir), agent))
        except AlreadyExists:
            found = {}
    return str((found.get("spec") or {}).get("podCIDR") or "")


def _kept(settings: NodeSettings) -> str:
    try:
        return str(IPv4Network(range_file(settings).read_text(encoding="ascii").strip()))
    except (FileNotFoundError, ValueError):  # a damaged file is one that is not there: the API knows
        return ""
