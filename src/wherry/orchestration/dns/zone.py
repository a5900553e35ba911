"""The cluster's zone: who answers what, kept up to date one Service at a time.

In:    records by Service (`records.records_for`).
Out:   `Found`: records, or why there are none. Names above existing names exist too (RFC 8020).
Spec:  Kubernetes DNS-Based Service Discovery 1.1.0; RFC 2308 (negative answers carry the SOA).
"""

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from wherry.orchestration.dns.records import Data, Records, pod_address
from wherry.orchestration.dns.wire import ANY, CNAME, NOERROR, NS, NXDOMAIN, SOA, SRV, TXT, A, Record, name_bytes

TTL_S = 5
SCHEMA_VERSION = b"1.1.0"
SOA_TIMES = (7200, 1800, 86400, TTL_S)  # refresh, retry, expire, negative TTL


@dataclass(frozen=True, slots=True)
class Found:
    """`leads_outside` is a CNAME target that is not ours: the server asks the machine's resolvers for it."""

    code: int
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    leads_outside: str = ""


class Zone:
    """`domain` such as cluster.local; `own` the networks whose reverse names are ours."""

    def __init__(self, domain: str, address: str, own: tuple[str, ...] = ()) -> None:
        self.domain = domain.lower().strip(".")
        self._own = tuple(IPv4Network(network) for network in own)
        self._by_service: dict[str, Records] = {}
        self._names: dict[str, Counter[Data]] = {}
        self._inner: Counter[str] = Counter()  # names above the names we have
        self._serial = 1
        server = f"ns.dns.{self.domain}"
        self.replace("", {
            self.domain: {(NS, name_bytes(server))},
            server: {(A, IPv4Address(address).packed)},
            f"dns-version.{self.domain}": {(TXT, bytes((len(SCHEMA_VERSION),)) + SCHEMA_VERSION)},
            f"svc.{self.domain}": set(),
            f"pod.{self.domain}": set(),
        })  # fmt: skip

    def replace(self, service: str, records: Records) -> bool:
        """Set what one Service contributes (nothing: it is gone). False when that changes nothing."""
        old = self._by_service.get(service, {})
        if old == records:
            return False
        for name, data in old.items():
            self._count(name, data, -1)
        for name, data in records.items():
            self._count(name, data, 1)
        if records:
            self._by_service[service] = records
        else:
            self._by_service.pop(service, None)
        self._serial += 1
        return True

    def services(self) -> set[str]:
        """Keys of the Services it speaks of."""
        return set(self._by_service) - {""}

    def is_ours(self, name: str) -> bool:
        """Do we answer for this name, even if only to say that there is none?"""
        if name == self.domain or name.endswith("." + self.domain):
            return True
        if not name.endswith(".in-addr.arpa"):
            return False
        labels = name.split(".")[:-2]
        if name in self._names or len(labels) != 4:
            return name in self._names
        try:
            address = IPv4Address(".".join(reversed(labels)))
        except ValueError:
            return False
        return any(address in network for network in self._own)

    def find(self, name: str, kind: int) -> Found:
        """Answer for a name that `is_ours`."""
        held = self._names.get(name)
        if held is None:
            return self._synthetic(name, kind)
        cname = next((data for each, data in held if each == CNAME), None)
        if cname is not None and kind not in (CNAME, ANY):
            return self._follow(cname, kind)
        answers = tuple(Record("", each, TTL_S, data) for each, data in sorted(held) if kind in (each, ANY))
        if kind == SOA and name == self.domain:
            answers = (self._soa(""),)
        if not answers:
            return Found(NOERROR, authority=(self._soa(self.domain),))
        return Found(NOERROR, answers, additional=self._targets(answers))

    def _follow(self, cname: bytes, kind: int) -> Found:
        target = _text(cname)
        first = Record("", CNAME, TTL_S, cname)
        if not self.is_ours(target):
            return Found(NOERROR, (first,), leads_outside=target)
        held = self._names.get(target, Counter())
        rest = tuple(Record(target, each, TTL_S, data) for each, data in sorted(held) if each == kind)
        return Found(NOERROR, (first, *rest))

    def _synthetic(self, name: str, kind: int) -> Found:
        labels = name.removesuffix(f".pod.{self.domain}").split(".")
        if name.endswith(f".pod.{self.domain}") and len(labels) <= 2:
            packed = pod_address(labels) if len(labels) == 2 else b""
            if packed:
                answers = (Record("", A, TTL_S, packed),) if kind in (A, ANY) else ()
                return Found(NOERROR, answers, () if answers else (self._soa(self.domain),))
        exists = bool(self._inner.get(name))
        return Found(NOERROR if exists else NXDOMAIN, authority=(self._soa(self.domain),))

    def _targets(self, answers: tuple[Record, ...]) -> tuple[Record, ...]:
        names = {_text(record.data[6:]) for record in answers if record.kind == SRV}
        return tuple(
            Record(name, A, TTL_S, data)
            for name in sorted(names)
            for each, data in sorted(self._names.get(name, ()))
            if each == A
        )

    def _soa(self, owner: str) -> Record:
        data = name_bytes(f"ns.dns.{self.domain}") + name_bytes(f"hostmaster.{self.domain}")
        numbers = (self._serial, *SOA_TIMES)
        return Record(owner, SOA, TTL_S, data + b"".join(number.to_bytes(4, "big") for number in numbers))

    def _count(self, name: str, data: set[Data], sign: int) -> None:
        held = self._names.setdefault(name, Counter())
        for each in data:
            held[each] += sign
            if not held[each]:
                del held[each]
        upper = name
        while (upper := upper.partition(".")[2]) and upper.endswith(self.domain):
            self._inner[upper] += sign
            if not self._inner[upper]:
                del self._inner[upper]
        if sign < 0 and not held:
            del self._names[name]


def _text(wire_name: bytes) -> str:
    labels, at = [], 0
    while wire_name[at]:
        labels.append(wire_name[at + 1 : at + 1 + wire_name[at]].decode("latin-1"))
        at += 1 + wire_name[at]
    return ".".join(labels)
