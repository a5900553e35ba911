"""Keep certificates fresh while a process runs: look once a day, and let new connections use what is new.

A process that is restarted within the last fifth of a year-long certificate needs none of this; one that is not, does.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from wherry.orchestration.apiserver.pki.files import Authority

PERIOD_S = 24 * 3600.0  # the last fifth of a year is 73 days, so one failed look is no harm
log = logging.getLogger(__name__)

Use = Callable[[Path], object]  # takes up the certificate and key of a file, as `ssl.SSLContext.load_cert_chain` does


async def keep_renewed(ensure_again: Callable[[], Authority], uses: Sequence[tuple[str, Use]]) -> None:
    """Call `ensure_again` at once and every `PERIOD_S`; each of `uses` is (leaf name, who takes it up when it changed).

    The first look hands every leaf over: another process, or a look that failed half-way, may have renewed it since it was
    loaded. Connections that are open go on with the certificate they began with. Runs until cancelled.
    """
    seen: dict[str, bytes] = {}
    while True:
        pki = ensure_again()
        now = {who: pki.leaf_file(who).read_bytes() for who, _ in uses}
        for who, use in uses:
            if now[who] != seen.get(who):
                use(pki.leaf_file(who))
        for who in seen:
            if now[who] != seen[who]:
                log.info("certificate of %s renewed", who)
        seen = now
        await asyncio.sleep(PERIOD_S)
