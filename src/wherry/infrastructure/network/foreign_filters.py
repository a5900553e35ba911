"""Live beside other firewalls (Docker, ufw, firewalld, a kubelet): their chains that end in a drop let our links' packets through.

In:    what nft says of the chains at the hooks forward and input.
Out:   a few rules in each such chain, marked by a comment; taken away again by handle. Nothing where nothing drops by default.
An accept in our own table would not help: a packet must pass every base chain of a hook.
Our rules stand last, before the policy or the rule that drops the rest: what was forbidden by a rule of its own stays forbidden,
and no rule of others is changed. At input only what a pod needs of the machine passes: Services that lead to it, cluster DNS.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wherry.infrastructure.network import nft
from wherry.infrastructure.network.settings import NetworkSettings

log = logging.getLogger(__name__)

FAMILIES = ("ip", "inet")
OURS = "wherry-"  # what the name of every table of every cluster starts with
CHECK_S = 60.0  # a firewall that is loaded anew has lost our rules; until then new connections of pods may fail
# A rule without a condition: the counter, log and reject's kind are no conditions.
_UNCONDITIONAL = re.compile(r"^(counter packets \d+ bytes \d+ |counter )?(drop|reject( with .*)?)$")
_CHAIN = re.compile(r"^\tchain (\S+) \{")
_BASE = re.compile(r"^\t\ttype (\w+) hook (\w+) .*?(?:policy (\w+);)?$")
_RULE = re.compile(r"^\t\t(.+?) # handle (\d+)$")
_JUMP = re.compile(r"\b(?:jump|goto) (\S+)$")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as nft prints it, and its handle."""

    text: str
    handle: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of somebody's table. `hook` is "" unless it is a base chain; `policy` is what happens to what it does not decide."""

    family: str
    table: str
    name: str
    kind: str = ""
    hook: str = ""
    policy: str = ""
    rules: tuple[Rule, ...] = ()

    @property
    def place(self) -> str:
        """As nft names it: family, table, chain."""
        return f"{self.family} {self.table} {self.name}"

    def last_word(self) -> Rule | None:
        """The rule that drops or rejects all the rest."""
        return self.rules[-1] if self.rules and _UNCONDITIONAL.match(self.rules[-1].text) else None

    def refuses_the_rest(self) -> bool:
        """By policy or by its last rule."""
        return self.policy == "drop" or self.last_word() is not None


async def open_for(settings: NetworkSettings) -> None:
    """Put our rules where they are missing. Idempotent."""
    text = "".join([opening(chain, settings) for hook in ("forward", "input") for chain in await base_chains(hook)])
    if not text:
        return
    try:
        await nft.load(text)
    except nft.LoadFailed as error:  # a table that its owner has locked, or one that changed this moment
        log.warning("another firewall drops packets of pods and does not take our rules; see `wherry doctor`: %s", error)
    else:
        log.info("opened %d places in other firewalls' chains", text.count("\n"))


async def keep_open_for(settings: NetworkSettings) -> None:
    """Until cancelled: again after such a firewall was loaded anew."""
    while True:
        await open_for(settings)
        await asyncio.sleep(CHECK_S)


async def close_for(settings: NetworkSettings) -> None:
    """Take the rules away. Idempotent."""
    text = [closing(chain, settings.table) for hook in ("forward", "input") for chain in await base_chains(hook)]
    await nft.load("".join(text))


async def base_chains(hook: str) -> list[Chain]:
    """The filter chains of others at `hook`, with their rules."""
    listed = [chain for family in FAMILIES for chain in chains(await nft.list_chains(family), family)]
    found = []
    for chain in listed:
        if chain.kind == "filter" and chain.hook == hook and not chain.table.startswith(OURS):
            whole = await nft.list_chain(chain.table, chain.name, chain.family)
            found += list(chains(whole, chain.family))
    return found


async def dropping_rules(base: Chain) -> list[str]:
    """What drops or rejects in `base` and the chains it leads to, as text; the policy and rules of our making are not among it."""
    by_name = {chain.name: chain for chain in chains(await nft.list_table(base.table, base.family, with_handles=True), base.family)}
    waiting, seen, found = [base.name], set(), []
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        for rule in by_name[name].rules:
            if re.search(r"\b(drop|reject)\b", _without_comment(rule.text)):
                found.append(f"{base.family} {base.table} {name}: {rule.text}")
            if jump := _JUMP.search(_without_comment(rule.text)):
                waiting.append(jump[1])
    return found


def chains(listed: str, family: str) -> Iterator[Chain]:
    """The chains in the output of `nft -a list ...`. Sets and maps are passed over."""
    table, head, rules = "", ("", "", "", ""), list[Rule]()
    for line in listed.splitlines():
        if line.startswith("table "):
            table = line.split()[2]
        elif started := _CHAIN.match(line):
            head, rules = (started[1], "", "", ""), []
        elif line == "\t}" and head[0]:
            yield Chain(family, table, *head, tuple(rules))
            head = ("", "", "", "")
        elif head[0] and (base := _BASE.match(line.partition(" # handle")[0])):
            head = (head[0], base[1], base[2], base[3] or "accept")
        elif head[0] and (rule := _RULE.match(line)):
            rules.append(Rule(rule[1], int(rule[2])))


def opening(chain: Chain, settings: NetworkSettings) -> str:
    """Text that lets our links' packets pass where `chain` refuses what it has no rule for; "" when they do already."""
    if not chain.refuses_the_rest() or handles(chain, settings.table):
        return ""
    end = chain.last_word()
    how = f"insert rule {chain.place} position {end.handle}" if end else f"add rule {chain.place}"
    return "".join(f'{how} {match} counter accept comment "{settings.table}"\n' for match in _passing(chain.hook, settings))


def closing(chain: Chain, mark: str) -> str:
    """Text that takes our rules out of `chain`."""
    return "".join(f"delete rule {chain.place} handle {handle}\n" for handle in handles(chain, mark))


def handles(chain: Chain, mark: str) -> list[int]:
    """Of the rules that carry our comment."""
    return [rule.handle for rule in chain.rules if rule.text.endswith(f'comment "{mark}"')]


def _passing(hook: str, settings: NetworkSettings) -> Iterable[str]:
    links = f'"{settings.link_prefix}*"'
    if hook == "forward":
        return (f"iifname {links}", f"oifname {links}")
    inside = ", ".join(map(str, settings.not_masqueraded))
    return (f"iifname {links} ct status dnat", f"iifname {links} ip daddr {{ {inside} }}")


def _without_comment(text: str) -> str:
    return re.sub(r' comment ".*?"', "", text)
