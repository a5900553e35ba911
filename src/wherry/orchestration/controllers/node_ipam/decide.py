"""Which range of addresses a node's pods get: pure.

Spec:  Kubernetes pkg/controller/nodeipam (range allocator): /24 of an IPv4 cluster range, the first that is free.
"""

from collections.abc import Iterable
from ipaddress import ip_network

NODE_MASK = {4: 24, 6: 64}


def free_range(cluster_cidr: str, taken: Iterable[str]) -> str | None:
    """The first free range, None when all are taken. A cluster range smaller than a node's goes to one node whole."""
    cluster = ip_network(cluster_cidr)
    used = [ip_network(text) for text in taken]
    mask = max(cluster.prefixlen, NODE_MASK[cluster.version])
    for candidate in cluster.subnets(new_prefix=mask):
        if not any(candidate.version == other.version and candidate.overlaps(other) for other in used):
            return str(candidate)
    return None
