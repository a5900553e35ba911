"""Which labels a node may give itself.

Spec:  KEP-279 (bounding self-labeling kubelets); upstream pkg/kubelet/apis/well_known_labels.go.
"""

from collections.abc import Iterable

from wherry.orchestration.objects.well_known import (
    LABEL_ARCH,
    LABEL_ARCH_STABLE,
    LABEL_HOSTNAME,
    LABEL_OS,
    LABEL_OS_STABLE,
    LABEL_TOPOLOGY_ZONE,
)

OWN = frozenset({
    LABEL_HOSTNAME, LABEL_OS_STABLE, LABEL_ARCH_STABLE, LABEL_OS, LABEL_ARCH,
    "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type", LABEL_TOPOLOGY_ZONE,
    "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
})
_OWN_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESERVED_DOMAINS = ("kubernetes.io", "k8s.io")
_RESTRICTED = "node-restriction.kubernetes.io"


def forbidden(changed: Iterable[str]) -> list[str]:
    """Those of `changed` label keys that are not the node's to set, sorted."""
    return sorted(key for key in changed if _is_forbidden(key))


def _is_forbidden(key: str) -> bool:
    domain, slash, _ = key.partition("/")
    if not slash:
        return False
    if _inside(domain, (_RESTRICTED,)):
        return True
    return _inside(domain, _RESERVED_DOMAINS) and key not in OWN and not _inside(domain, _OWN_DOMAINS)


def _inside(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)
