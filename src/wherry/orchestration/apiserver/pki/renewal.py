"""Keep certificates fresh while a process runs: look once a day, and let new connections use what is new.

A process that is restarted within the last fifth of a year-long certificate needs none of this; one that is not, does.
"""

import logging
import ssl
from collections.abc import Callable, Mapping

from wherry.kit.clock import Clock
from wherry.orchestration.apiserver.pki.files import Pki

PERIOD_S = 24 * 3600.0  # the last fifth of a year is 73 days, so one failed look is no harm
log = logging.getLogger(__name__)


async def keep_renewed(ensure_again: Callable[[], Pki], contexts: Mapping[str, ssl.SSLContext], clock: Clock) -> None:
    """Call `ensure_again` every `PERIOD_S` and reload each context's own leaf (`contexts` is by leaf name) if it changed.

    Connections that are open go on with the certificate they began with. Runs until cancelled.
    """
    seen = _leaves(ensure_again(), contexts)
    while True:
        await clock.sleep(PERIOD_S)
        pki = ensure_again()
        now = _leaves(pki, contexts)
        for who in contexts:
            if now[who] != seen[who]:
                contexts[who].load_cert_chain(pki.leaf_file(who))
                log.info("certificate of %s renewed", who)
        seen = now


def _leaves(pki: Pki, contexts: Mapping[str, ssl.SSLContext]) -> dict[str, bytes]:
    return {who: pki.leaf_file(who).read_bytes() for who in contexts}
