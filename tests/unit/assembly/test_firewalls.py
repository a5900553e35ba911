"""`doctor` names the firewalls that drop forwarded packets, in nft's tables and in those nft does not see."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from wherry.assembly import firewalls
from wherry.infrastructure.network.foreign_filters import Chain, Rule, chains
from wherry.infrastructure.network.settings import NetworkSettings

SETTINGS = NetworkSettings("abc", Path("/nowhere"), IPv4Network("10.244.0.0/24"))
LINKS = SETTINGS.link_prefix
DROPS = Chain("ip", "filter", "FORWARD", "filter", "forward", "drop")
OPEN = Chain("ip", "filter", "FORWARD", "filter", "forward", "drop", (Rule(f'iifname "{LINKS}*" accept comment "{SETTINGS.table}"', 7),))


@pytest.mark.parametrize(("chain", "running", "ok", "says"), [
    pytest.param(DROPS, False, True, "`wherry up` adds rules", id="not up"),
    pytest.param(OPEN, True, True, "not those of Wherry's links", id="opened"),
    pytest.param(DROPS, True, False, "those of pods too", id="up and closed"),
])
def test_a_chain_that_drops_the_rest_is_named(chain: Chain, running: bool, ok: bool, says: str) -> None:
    found = firewalls.refusal(chain, SETTINGS, running=running)
    assert (found.check, found.ok) == ("firewall ip filter FORWARD", ok) and says in found.detail
    assert bool(found.mend) is not ok and (ok or LINKS in found.mend)


@pytest.mark.parametrize(("listed", "is_told"), [
    pytest.param("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n", True, id="policy"),
    pytest.param("-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n", True, id="last rule"),
    pytest.param(f"-P FORWARD DROP\n-A FORWARD -i {LINKS}+ -j ACCEPT\n", False, id="opened"),
    pytest.param("-P FORWARD ACCEPT\n-A FORWARD -s 192.0.2.1/32 -j DROP\n", False, id="one source"),
])
def test_the_old_interface_is_read_too(listed: str, is_told: bool) -> None:
    found = firewalls.legacy_refusal(listed, SETTINGS)
    assert (found is not None) is is_told
    assert found is None or (not found.ok and f"iptables-legacy -I FORWARD -i '{LINKS}+' -j ACCEPT" in found.mend)


LISTED = """table inet mine { # handle 4
\tset bad { # handle 9
\t\ttype ipv4_addr
\t}

\tchain forward { # handle 1
\t\ttype filter hook forward priority filter + 10; policy accept;
\t\tip saddr @bad counter packets 3 bytes 4 drop # handle 5
\t\tcounter packets 0 bytes 0 reject with icmpx admin-prohibited # handle 6
\t}
}
"""


def test_the_last_word_of_a_chain_is_the_rule_without_a_condition() -> None:
    (chain,) = chains(LISTED, "inet")
    assert chain.place == "inet mine forward" and chain.policy == "accept" and chain.hook == "forward"
    assert [rule.handle for rule in chain.rules] == [5, 6]
    assert chain.refuses_the_rest() and (end := chain.last_word()) is not None and end.handle == 6
    (without,) = chains("".join(line for line in LISTED.splitlines(keepends=True) if "handle 6" not in line), "inet")
    assert not without.refuses_the_rest()
