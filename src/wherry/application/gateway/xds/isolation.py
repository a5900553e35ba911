"""Which object's routes make Envoy refuse a route table, found without touching what is served.

In:    the hosts of every table as the model wants them; Envoy's verdicts on tables and on the probe.
Out:   the hosts to send: those of refused owners as Envoy last took them, or not at all; the hosts of the probe.
Spec:  Envoy takes or refuses a RouteConfiguration as a whole. An owner is the first three parts of `Route.name`.

A refused table is tried in halves, in a listener that no port is bound for (`listeners.probe`), until each half is taken or is
one owner's. Where each half is taken and the whole is not, the owners that Envoy had before are tried with ever fewer of the new
ones, until one is found that it does not take beside those: that one is refused, and tried again whenever another changes. The
table itself stays as it was sent meanwhile, so Envoy serves on with the last good one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry.application.gateway.model.values import Route, VirtualHost

PROBE = "wherry.probe"  # the name of the probe, as a listener and as its route table

Hosts = tuple[VirtualHost, ...]
Share = dict[str, tuple[Route, ...]]  # host to one owner's routes


@dataclass(frozen=True, slots=True)
class _Sent:
    version: str
    hosts: Hosts


@dataclass(slots=True)
class _Trial:
    hosts: Hosts
    message: str
    suspects: list[str]
    groups: list[list[str]]  # owners that are to be tried together; the last is being tried
    is_blamed: bool = False
    good: int = 0  # so many of the suspects, the first, are taken beside the others; `bad` of them are not
    bad: int = 0

    def __post_init__(self) -> None:
        self.bad = len(self.suspects)

    @property
    def together(self) -> int:
        """How many of the suspects to try beside all others, when one by one they are taken."""
        return (self.good + self.bad) // 2


@dataclass(frozen=True, slots=True)
class _Refusal:
    share: Share
    message: str
    beside: Hosts | None = None  # refused for what else was there: no longer, once that changes


def owner_of(route: Route) -> str:
    """`HTTPRoute/default/web` of `HTTPRoute/default/web/0/0`."""
    return "/".join(route.name.split("/", 3)[:3])


class Isolation:
    """One for all Envoys of a control plane: they are sent the same. `earlier` is what one before this had as `last_good`."""

    def __init__(self, earlier: Mapping[str, Hosts] | None = None) -> None:
        self._sent: dict[str, _Sent] = {}
        self._taken: dict[str, Hosts] = dict(earlier or {})  # by table, as Envoy last confirmed it
        self._hearsay = set(self._taken)  # confirmed to an earlier control plane; this Envoy may be another
        self._trials: dict[str, _Trial] = {}
        self._refusals: dict[str, dict[str, _Refusal]] = {}  # table to owner

    def offered(self, table: str, hosts: Hosts) -> Hosts:
        """What to send as `table` where the model wants `hosts`."""
        if (trial := self._trials.get(table)) is not None:
            return trial.hosts
        held = {
            owner: refusal for owner, refusal in self._refusals.get(table, {}).items()
            if share_of(hosts, owner) == refusal.share and refusal.beside in (None, hosts)
        }  # fmt: skip
        if not held:
            self._refusals.pop(table, None)
            return hosts
        self._refusals[table] = held
        return _with_shares(hosts, {owner: share_of(self._taken.get(table, ()), owner) for owner in held})

    def sent(self, table: str, version: str, hosts: Hosts) -> None:
        """`hosts` are what has that version."""
        self._sent[table] = _Sent(version, hosts)

    def keep_only(self, tables: Iterable[str]) -> None:
        """Forget other tables."""
        wanted = set(tables)
        for held in (self._sent, self._taken, self._trials, self._refusals):
            for table in [table for table in held if table not in wanted and table != PROBE]:
                del held[table]
        self._hearsay &= wanted

    def probe(self) -> Hosts:
        """The hosts to try just now, () for none."""
        for trial in self._trials.values():
            if trial.groups:
                return _only(trial.hosts, set(trial.groups[-1]))
            left_out: dict[str, Share] = {owner: {} for owner in trial.suspects[trial.together:]}
            return _with_shares(trial.hosts, left_out)
        return ()

    def taken(self, table: str, version: str) -> bool:
        """Envoy confirmed it; True when there is something else to send now."""
        sent = self._sent.get(table)
        if sent is None or sent.version != version:
            return False
        if table == PROBE:
            return self._judge("")
        self._taken[table] = sent.hosts
        self._hearsay.discard(table)
        return False

    def refused(self, table: str, version: str, message: str) -> bool:
        """Envoy refused it; True when there is something else to send now."""
        sent = self._sent.get(table)
        if sent is None or sent.version != version:
            return False
        if table == PROBE:
            return self._judge(message)
        if table in self._trials:
            return False
        suspects = _suspects(self._taken.get(table, ()), sent.hosts)
        if not suspects and table in self._hearsay:  # it does not hold any more
            self._hearsay.discard(table)
            del self._taken[table]
            suspects = _suspects((), sent.hosts)
        if suspects:
            self._trials[table] = _Trial(sent.hosts, message, suspects, _halves(suspects))
        return bool(suspects)

    def is_tried(self, table: str) -> bool:
        """Nobody is to blame yet."""
        return table in self._trials

    @property
    def last_good(self) -> Mapping[str, Hosts]:
        """By table, as Envoy last confirmed it."""
        return self._taken

    @property
    def refusals(self) -> dict[str, str]:
        """Envoy's words by owner."""
        return {owner: refusal.message for held in self._refusals.values() for owner, refusal in held.items()}

    def _judge(self, message: str) -> bool:
        self._sent.pop(PROBE, None)
        for table, trial in self._trials.items():
            if trial.groups:
                group = trial.groups.pop()
                if message and len(group) == 1:
                    trial.is_blamed = True
                    self._blame(table, group[0], trial.hosts, message)
                elif message:
                    trial.groups += _halves(group)
            elif message:
                trial.bad = trial.together
            else:
                trial.good = trial.together
            if not trial.groups and (trial.is_blamed or self._is_found(table, trial)):
                del self._trials[table]
            return True
        return False

    def _is_found(self, table: str, trial: _Trial) -> bool:
        """Whether the one is known that is not taken beside the others."""
        if trial.bad - trial.good > 1:
            return False
        owner = trial.suspects[trial.bad - 1]
        text = f"refused together with other routes, not by itself: {trial.message}"
        self._refusals.setdefault(table, {})[owner] = _Refusal(share_of(trial.hosts, owner), text, beside=trial.hosts)
        return True

    def _blame(self, table: str, owner: str, hosts: Hosts, message: str) -> None:
        self._refusals.setdefault(table, {})[owner] = _Refusal(share_of(hosts, owner), message)


def share_of(hosts: Hosts, owner: str) -> Share:
    """The routes of one owner."""
    found = {host.host: tuple(route for route in host.routes if owner_of(route) == owner) for host in hosts}
    return {host: routes for host, routes in found.items() if routes}


def _suspects(taken: Hosts, refused: Hosts) -> list[str]:
    """Owners of routes that Envoy has not taken before."""
    known = {(host.host, route) for host in taken for route in host.routes}
    return sorted({owner_of(route) for host in refused for route in host.routes if (host.host, route) not in known})


def _halves(owners: list[str]) -> list[list[str]]:
    middle = len(owners) // 2
    return [half for half in (owners[:middle], owners[middle:]) if half]


def _only(hosts: Hosts, owners: set[str]) -> Hosts:
    found = (VirtualHost(host.host, tuple(route for route in host.routes if owner_of(route) in owners)) for host in hosts)
    return tuple(host for host in found if host.routes)


def _with_shares(hosts: Hosts, shares: dict[str, Share]) -> Hosts:
    """`hosts` with the routes of these owners replaced; a host stays, if need be without routes."""
    out = []
    for host in hosts:
        kept = [route for route in host.routes if owner_of(route) not in shares]
        old = [route for share in shares.values() for route in share.get(host.host, ())]
        if old or len(kept) != len(host.routes):
            out.append(VirtualHost(host.host, tuple(sorted([*kept, *old], key=lambda route: route.order))))
        else:
            out.append(host)
    return tuple(out)
