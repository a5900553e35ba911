"""Frontends as one nftables table with a constant set of maps: O(1) lookup, O(changed) update.

In:    `ServiceRules`, one Service at a time.
Out:   text for one nft transaction: the whole table, or only the elements that a change touches.
Spec:  nft(8) 1.0.6: maps of concatenations, numgen, vmap.
Cost:  one hash look-up, one random number, one hash look-up per new connection, however many Services there are.

`frontends` maps (address, protocol, port) to a verdict: a chain for that many endpoints. The chain draws a number, and
`endpoints` maps (address, protocol, port, number) to an endpoint. Chains are shared by all Services with as many
endpoints and are made when first needed. Session affinity remembers the number per client, so an endpoint keeps its
number for as long as it lives (`arranged`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable

from wherry.orchestration.objects.endpoints import Place
from wherry.orchestration.proxy.service_table import Frontend, Key, ServiceRules
from wherry.orchestration.proxy.settings import ProxySettings

# The drawn number travels in the mark of the first packet of a connection (nft 1.0.6 cannot add rules that use a map
# with `typeof numgen` once it is loaded). The base keeps it from meaning anything to other users of marks, and is the
# cluster's own: by it the table knows later which translation was its own, not another cluster's or Docker's. The low
# half stays below 0x4000 and 0x8000, which a kubelet's chains masquerade and drop.
MARK_MASK = 0xFFFF0000
MARK_SPACE = 0x60000000  # with 12 bits of the table's name
NO_NUMBER = 0x3FFF  # more than any Service has endpoints
AFFINITY_CLIENTS_MAX = 65535

Elements = dict[str, dict[str, str]]  # map or set -> key -> value ("" in a set)
COUNTED = ("own_addresses", "hairpin")  # shared by Services: gone only with the last that needs them


class Ruleset:
    """What is wanted of the kernel, and the text that brings it there. No I/O."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self._rules: dict[str, ServiceRules] = {}
        self._order: dict[Key, tuple[Place, ...]] = {}
        self._owner: dict[Key, str] = {}
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
        self._given_up: list[Key] = []
        self._chains: set[str] = set()

    def names(self) -> set[str]:
        """The Services it has rules for."""
        return set(self._rules)

    def replace(self, rules: ServiceRules) -> str:
        """Replace one Service's rules (none: remove it); return the text of the change, "" when there is none."""
        old = self._rules.get(rules.name)
        if old == rules or (old is None and not rules.frontends and not rules.own_addresses):
            return ""
        before = self._elements_of(old) if old else {}
        counted_before = self._counted_of(old) if old else {}
        self._forget(old)
        if rules.frontends or rules.own_addresses:
            self._remember(rules)
        for key in self._given_up:
            if key not in self._owner:
                del self._order[key]
        self._given_up.clear()
        after = self._elements_of(rules) if rules.name in self._rules else {}
        counted_after = self._counted_of(rules) if rules.name in self._rules else {}
        added, removed = self._count(counted_before, counted_after)
        chains = self._new_chains(after.get("frontends", {}).values())
        return chains + self._difference(before, after) + self._text("delete", removed) + self._text("add", added)

    def full(self) -> str:
        """The whole table, replacing what is loaded."""
        total: Elements = {}
        for rules in self._rules.values():
            for name, elements in self._elements_of(rules).items():
                total.setdefault(name, {}).update(elements)
        for name, counter in self._counts.items():
            total[name] = dict.fromkeys(counter, "")
        self._chains.clear()
        chains = self._new_chains(total.get("frontends", {}).values())
        return frame(self._settings) + chains + self._text("add", total)

    def _remember(self, rules: ServiceRules) -> None:
        self._rules[rules.name] = rules
        for frontend in rules.frontends:
            if self._owner.setdefault(frontend.key, rules.name) == rules.name:
                self._order[frontend.key] = arranged(self._order.get(frontend.key, ()), frontend.endpoints)

    def _forget(self, rules: ServiceRules | None) -> None:
        if rules is None:
            return
        del self._rules[rules.name]
        for frontend in rules.frontends:
            if self._owner.get(frontend.key) == rules.name:
                del self._owner[frontend.key]
                self._given_up.append(frontend.key)

    def _elements_of(self, rules: ServiceRules) -> Elements:
        found: Elements = {"frontends": {}, "endpoints": {}, "allowed": {}}
        for frontend in rules.frontends:
            if self._owner.get(frontend.key) != rules.name:
                continue  # another Service had the address first
            verdict = verdict_of(frontend)
            if not verdict:
                continue
            key = key_text(frontend.key)
            found["frontends"][key] = verdict
            for number, (address, port) in enumerate(self._order[frontend.key], mark_base(self._settings.table)):
                found["endpoints"][f"{key} . {number}"] = f"{address} . {port}"
            found["allowed"].update({f"{source} . {key}": "" for source in frontend.ranges})
        return found

    def _counted_of(self, rules: ServiceRules) -> dict[str, set[str]]:
        addresses = {address for frontend in rules.frontends for address, _ in frontend.endpoints}
        return {"own_addresses": set(rules.own_addresses), "hairpin": {f"{a} . {a}" for a in addresses}}

    def _count(self, before: dict[str, set[str]], after: dict[str, set[str]]) -> tuple[Elements, Elements]:
        added: Elements = {}
        removed: Elements = {}
        for name in COUNTED:
            counter, had, has = self._counts[name], before.get(name, set()), after.get(name, set())
            for key in had - has:
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]
                    removed.setdefault(name, {})[key] = ""
            for key in has - had:
                counter[key] += 1
                if counter[key] == 1:
                    added.setdefault(name, {})[key] = ""
        return added, removed

    def _difference(self, before: Elements, after: Elements) -> str:
        gone: Elements = {}
        new: Elements = {}
        for name in before.keys() | after.keys():
            had, has = before.get(name, {}), after.get(name, {})
            gone[name] = {key: "" for key, value in had.items() if has.get(key, None) != value}
            new[name] = {key: value for key, value in has.items() if had.get(key, None) != value}
        return self._text("delete", gone) + self._text("add", new)

    def _text(self, verb: str, elements: Elements) -> str:
        lines = []
        for name, entries in sorted(elements.items()):
            if entries:
                joined = ", ".join(f"{key} : {value}" if value else key for key, value in entries.items())
                lines.append(f"{verb} element ip {self._settings.table} {name} {{ {joined} }}\n")
        return "".join(lines)

    def _new_chains(self, verdicts: Iterable[str]) -> str:
        text = []
        for verdict in sorted(set(verdicts)):
            name = verdict.removeprefix("goto ")
            if verdict.startswith("goto ") and name not in self._chains:
                text.append(chain(self._settings.table, name))
                self._chains.add(name)
        return "".join(text)


def mark_base(table: str) -> int:
    """The upper half of the marks of one table."""
    return MARK_SPACE | int.from_bytes(hashlib.sha256(table.encode()).digest()[:2]) >> 4 << 16


def arranged(old: tuple[Place, ...], wanted: tuple[Place, ...]) -> tuple[Place, ...]:
    """`wanted` in an order in which as many as possible keep their number; holes are filled by new ones, then from the end."""
    alive = set(wanted)
    slots: list[Place | None] = [endpoint if endpoint in alive else None for endpoint in old]
    fresh = [endpoint for endpoint in wanted if endpoint not in set(old)]
    for endpoint in fresh:
        if None in slots:
            slots[slots.index(None)] = endpoint
        else:
            slots.append(endpoint)
    while None in slots:
        last = slots.pop()
        if last is not None:
            slots[slots.index(None)] = last
    return tuple(endpoint for endpoint in slots if endpoint is not None)


def key_text(key: Key) -> str:
    """As nft reads it."""
    address, protocol, port = key
    return f"{address} . {protocol} . {port}"


def verdict_of(frontend: Frontend) -> str:
    """`drop`, `goto CHAIN`, or "" for nothing to do."""
    if frontend.is_dropped:
        return "drop"
    count = len(frontend.endpoints)
    if not count:
        return ""
    name = f"sticky-{count}-{frontend.affinity_s}" if frontend.affinity_s else f"lb-{count}"
    return f"goto guard-{name}" if frontend.ranges else f"goto {name}"


def chain(table: str, name: str) -> str:
    """Text that makes the chain, with those it leads to; making one again is harmless."""
    head = f"add chain ip {table} {name}\nflush chain ip {table} {name}\n"
    rule = f"add rule ip {table} {name} "
    if name.startswith("guard-"):
        inner = name.removeprefix("guard-")
        allowed = f"{rule}ip saddr . ip daddr . meta l4proto . th dport @allowed goto {inner}\n"
        return chain(table, inner) + head + allowed + f"{rule}drop\n"
    kind, count, *rest = name.split("-")
    base = mark_base(table)
    draw = f"meta mark set numgen random mod {count} offset {base}"
    dnat = "dnat ip to ip daddr . meta l4proto . th dport . meta mark map @endpoints"
    if kind == "lb":
        return head + f"{rule}{draw}\n{rule}{dnat}\n"
    client = "ip saddr . ip daddr . meta l4proto . th dport"
    return head + "".join(f"{rule}{line}\n" for line in (
        f"meta mark set {base + NO_NUMBER}",
        f"meta mark set {client} map @affinity",
        f"meta mark >= {base + int(count)} {draw}",
        f"update @affinity {{ {client} timeout {rest[0]}s : meta mark }}",
        dnat,
    ))  # fmt: skip


def frame(settings: ProxySettings) -> str:
    """The constant part: maps and base chains, replacing the table."""
    table, pods = settings.table, ", ".join(settings.pod_cidrs)
    return f"""table ip {table} {{}}
delete table ip {table}
table ip {table} {{
  map frontends {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map endpoints {{ type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service; }}
  map affinity {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service : mark
    flags dynamic,timeout; timeout 3h; size {AFFINITY_CLIENTS_MAX};
  }}
  set allowed {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags interval; }}
  set own_addresses {{ type ipv4_addr; }}
  set hairpin {{ type ipv4_addr . ipv4_addr; }}
  set reserved_addresses {{ type ipv4_addr;{_elements(map(str, settings.reserved.plain_addresses()))} }}
  set reserved_ports {{ type inet_proto . inet_service;{_elements(_ports_reserved(settings))} }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp port-unreachable
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr @reserved_addresses return
    fib daddr type local meta l4proto . th dport @reserved_ports return
    ip daddr . meta l4proto . th dport vmap @frontends
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr @reserved_addresses return
    fib daddr type local meta l4proto . th dport @reserved_ports return
    ip daddr . meta l4proto . th dport vmap @frontends
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ip daddr @own_addresses goto refuse
    ip daddr {settings.service_cidr} drop
  }}
  chain local {{
    type filter hook output priority filter; policy accept;
    ip daddr @own_addresses goto refuse
    ip daddr {settings.service_cidr} fib daddr type != local drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr . ip daddr @hairpin masquerade
    oifname "{settings.link_prefix}*" return
    ct status dnat meta mark & {MARK_MASK:#x} == {mark_base(table):#x} ip saddr != {{ {pods} }} fib saddr type != local \
      masquerade fully-random
  }}
}}
"""


def _ports_reserved(settings: ProxySettings) -> list[str]:
    return [f"{protocol} . {port}" for protocol, port in settings.reserved.plain_ports()]


def _elements(keys: Iterable[str]) -> str:
    joined = ", ".join(keys)
    return f" elements = {{ {joined} }}" if joined else ""
