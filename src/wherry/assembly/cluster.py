"""What all nodes of one cluster share: its name, its address ranges, its rules.

In:    flags of the first `wherry up`.
Out:   `ClusterSettings`, frozen. The server's node keeps them in `<data dir>/cluster.json`.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network

from wherry.kit.errors import Invalid

CONFIG_NAMESPACE, CONFIG_NAME, CONFIG_KEY = "kube-system", "wherry-cluster", "cluster.json"  # the ConfigMap that nodes read
SERVICE_ADDRESSES_MIN = 32
NODE_MASK_MIN, NODE_MASK_MAX = 16, 28
FALLBACK_INDEX = 11  # of the service range; the one after cluster DNS


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One cluster. Address ranges are IPv4 CIDRs that must not overlap each other."""

    name: str = "wherry"  # of the kubeconfig context
    pod_cidr: str = "10.244.0.0/16"
    node_cidr_mask_size: int = 24  # of each node's part of it; a smaller range goes to one node whole
    service_cidr: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    external_ips: bool = False  # may Services claim addresses by spec.externalIPs (CVE-2020-8554)
    unenforced_policies: str = "refuse"  # or "warn": a NetworkPolicy is stored without effect, with a warning

    @property
    def kubernetes_address(self) -> str:
        """First address of the service range: the `kubernetes` Service."""
        return self._service_address(1)

    @property
    def dns_address(self) -> str:
        """Tenth address of the service range, as upstream's tools choose it."""
        return self._service_address(10)

    @property
    def fallback_address(self) -> str:
        """Of a node on a machine without a default route."""
        return self._service_address(FALLBACK_INDEX)

    def _service_address(self, index: int) -> str:
        return str(IPv4Network(self.service_cidr).network_address + index)


def check(settings: ClusterSettings) -> None:
    """Raise `Invalid` naming the field, the value and the mend."""
    networks = {}
    for name in ("pod_cidr", "service_cidr"):
        try:
            networks[name] = IPv4Network(getattr(settings, name))
        except ValueError as error:
            raise Invalid(f"--{name.replace('_', '-')}: {error}; give an IPv4 range such as 10.244.0.0/24") from error
    if networks["pod_cidr"].overlaps(networks["service_cidr"]):
        raise Invalid(f"--pod-cidr {settings.pod_cidr} overlaps --service-cidr {settings.service_cidr}")
    if networks["service_cidr"].num_addresses < SERVICE_ADDRESSES_MIN:
        raise Invalid(f"--service-cidr {settings.service_cidr} holds fewer than {SERVICE_ADDRESSES_MIN} addresses")
    if not NODE_MASK_MIN <= settings.node_cidr_mask_size <= NODE_MASK_MAX:
        given = settings.node_cidr_mask_size
        raise Invalid(f"--node-cidr-mask-size: {given} is not from {NODE_MASK_MIN} to {NODE_MASK_MAX}; 24 has room for 250 pods")
    if settings.unenforced_policies not in ("refuse", "warn"):
        raise Invalid(f"--unenforced-policies: {settings.unenforced_policies!r} is not one of refuse, warn")
