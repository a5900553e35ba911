"""Which range of addresses a node's pods get: pure.

Spec:  Kubernetes pkg/controller/nodeipam (range allocator): of the cluster's range, the first that is free;
       kube-controller-manager --node-cidr-mask-size-ipv4, 24 by default.
"""

from collections.abc import Iterable
from ipaddress import ip_network

NODE_MASK_SIZE = 24
NODE_MASK_SIZE_IPV6 = 64


def free_range(cluster_cidr: str, taken: Iterable[str], mask_size: int = NODE_MASK_SIZE) -> str | None:
    """The first free range, None when all are taken. A cluster range smaller than a node's goes to one node whole."""
    cluster = ip_network(cluster_cidr)
    used = [ip_network(text) for text in taken]
    mask = max(cluster.prefixlen, mask_size if cluster.version == 4 else NODE_MASK_SIZE_IPV6)  # noqa: PLR2004
    for candidate in cluster.subnets(new_prefix=mask):
        if not any(candidate.version == other.version and candidate.overlaps(other) for other in used):
            return str(candidate)
    return None
