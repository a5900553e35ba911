"""Forget UDP flows that lead to endpoints which are gone: a UDP client never notices by itself.

In:    frontends that lost endpoints.
Out:   entries removed with conntrack(8); nothing when the program is not there.
Spec:  kubernetes pkg/proxy/conntrack (UDP only; TCP flows end by themselves).
"""

import logging
from collections.abc import Iterable

from wherry.kit import process
from wherry.orchestration.objects.endpoints import Place
from wherry.orchestration.proxy.service_table import Frontend, Key, ServiceRules

log = logging.getLogger(__name__)

LIMIT_S = 10.0
NOTHING_DELETED = 1

Stale = tuple[Key, Place]


def stale_flows(old: ServiceRules | None, new: ServiceRules) -> list[Stale]:
    """UDP frontends with the endpoints they no longer have; a frontend left without any is skipped, as upstream does."""
    now = {frontend.key: frontend for frontend in new.frontends}
    found: list[Stale] = []
    for frontend in old.frontends if old else ():
        if frontend.key[1] != "udp":
            continue
        kept: Frontend | None = now.get(frontend.key)
        if kept is not None and kept.endpoints:
            found += [(frontend.key, endpoint) for endpoint in set(frontend.endpoints) - set(kept.endpoints)]
    return found


async def forget(flows: Iterable[Stale]) -> None:
    """Remove the entries. A missing conntrack program is told once per call and is no error."""
    for (address, protocol, port), (endpoint, _) in flows:
        argv = ("conntrack", "-D", "-p", protocol, "--orig-dst", address, "--orig-port-dst", str(port), "--reply-src", endpoint)
        try:
            await process.run(argv, timeout_s=LIMIT_S)
        except process.CommandFailed as error:
            if error.code != NOTHING_DELETED:
                log.warning("stale UDP flow to %s was not removed: %s", endpoint, error)
        except FileNotFoundError:
            log.warning("UDP clients may stick to endpoints that are gone: conntrack is missing; apt-get install -y conntrack")
            return
