"""What other firewalls of this machine do to forwarded packets, for `wherry doctor`: named, never changed.

In:    nft's listing of the chains of others, /proc/net/ip_tables_names, `iptables-legacy` where it is in use.
Out:   `Finding`s; none when nobody drops forwarded packets, or when the asker may not know.
"""

import asyncio
import re
from pathlib import Path

from wherry.assembly.findings import Finding
from wherry.infrastructure.network import foreign_filters
from wherry.infrastructure.network.foreign_filters import Chain
from wherry.infrastructure.network.settings import NetworkSettings
from wherry.kit import process
from wherry.kit.errors import WherryError

RULES_SHOWN_MAX = 3
LEGACY_NAMES = Path("/proc/net/ip_tables_names")  # tables of the old kernel interface, which nft does not list
LEGACY = "iptables-legacy"
LEGACY_LIMIT_S = 10.0


def findings(settings: NetworkSettings, *, running: bool) -> list[Finding]:
    """Of the machine as it is now."""
    try:
        return asyncio.run(_findings(settings, running=running))
    except WherryError:  # nft is missing, which is a finding of its own, or the asker is not root
        return []


async def _findings(settings: NetworkSettings, *, running: bool) -> list[Finding]:
    chains = await foreign_filters.base_chains("forward")
    found = [refusal(chain, settings, running=running) for chain in chains if chain.refuses_the_rest()]
    ends = {f"{chain.place}: {end.text}" for chain in chains if (end := chain.last_word())}
    dropping = [rule for chain in chains for rule in await foreign_filters.dropping_rules(chain) if rule not in ends]
    if dropping:
        more = f"; and {len(dropping) - RULES_SHOWN_MAX} more" if len(dropping) > RULES_SHOWN_MAX else ""
        found.append(Finding("firewall rules", True, f"respected: {'; '.join(dropping[:RULES_SHOWN_MAX])}{more}"))
    return found + await _legacy(settings)


def refusal(chain: Chain, settings: NetworkSettings, *, running: bool) -> Finding:
    """Of a chain that drops what it has no rule for."""
    check = f"firewall {chain.place}"
    if not running:
        return Finding(check, True, "drops forwarded packets; `wherry up` adds rules for its own links")
    if foreign_filters.handles(chain, settings.table):
        return Finding(check, True, "drops forwarded packets, but not those of Wherry's links")
    mend = f"let it accept what comes from and goes to links {settings.link_prefix}* (firewall-cmd --zone=trusted " \
           f"--add-source={settings.addresses}, for one), or look for its name in the agent's log"
    return Finding(check, False, "drops forwarded packets, those of pods too", mend)


def legacy_refusal(listed: str, settings: NetworkSettings) -> Finding | None:
    """Of the output of `iptables-legacy -S FORWARD`: None when it lets packets pass, or those of our links."""
    lines = listed.splitlines()
    is_open = any(settings.link_prefix in line and line.endswith("-j ACCEPT") for line in lines)
    ends = [line for line in lines if re.fullmatch(r"-P FORWARD DROP|-A FORWARD -j (DROP|REJECT.*)", line)]
    if is_open or not ends:
        return None
    mend = "; ".join(f"{LEGACY} -I FORWARD {way} '{settings.link_prefix}+' -j ACCEPT" for way in ("-i", "-o"))
    return Finding(f"firewall {LEGACY}", False, f"drops forwarded packets, those of pods too: {ends[0]}", mend)


async def _legacy(settings: NetworkSettings) -> list[Finding]:
    try:
        if "filter" not in LEGACY_NAMES.read_text(encoding="ascii").split():
            return []
        listed = await process.run((LEGACY, "-S", "FORWARD"), timeout_s=LEGACY_LIMIT_S)
    except (OSError, process.CommandFailed):  # OSError: a kernel without it, no such program, or no answer in time
        return []
    found = legacy_refusal(listed.decode(), settings)
    return [found] if found else []
