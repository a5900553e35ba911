"""The component `certificates`: a node that joined renews its certificates before they end. Where the server runs, it does.

In:    the node's identity. Out: `<data dir>/identity/*.pem`, which whoever uses them takes up by itself.
"""

import asyncio
import logging
from datetime import timedelta

from wherry.assembly.address import node_address
from wherry.assembly.certify import Wanted, certify, renew_at
from wherry.assembly.identity import identity
from wherry.assembly.node import REGISTRY_NAME, NodeSettings
from wherry.assembly.shared import Process
from wherry.kit.errors import WherryError

LOOK_S_MAX = 3600.0
RETRY_S = 10.0

log = logging.getLogger(__name__)


def wanted(settings: NodeSettings) -> dict[str, Wanted]:
    """The certificates of a node that joined, by the name of their identity."""
    name, address = settings.node_name, node_address(settings)
    return {
        "node": Wanted(name),
        "node-serving": Wanted(name, (name, "localhost", REGISTRY_NAME), (address, "127.0.0.1")),
    }


async def run(process: Process) -> None:
    """Run until cancelled."""
    while True:
        await asyncio.sleep(await renew(process))


async def renew(process: Process) -> float:
    """One look; the seconds until the next."""
    now, next_s = process.clock.now(), LOOK_S_MAX
    for who, one in wanted(process.node).items():
        own = identity(process.node, who)
        due = renew_at(own.pair, one, own.ca.read_bytes())
        if due is None or due <= now:
            try:
                await certify(process.node_client, one, own.pair)
            except WherryError as error:
                log.warning("certificate of %s not renewed: %s", who, error)
                next_s = min(next_s, RETRY_S)
        else:
            next_s = min(next_s, (due - now) / timedelta(seconds=1))
    return next_s
