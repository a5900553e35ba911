"""The cluster's authority: its CA, its signing keys, the key its Secrets are sealed with. Only where the server runs.

In:    the node's settings.
Out:   `Authority`, made at the first call; with it the identities of this node.
"""

from datetime import UTC, datetime

from wherry.assembly.address import node_address
from wherry.assembly.node import REGISTRY_NAME, NodeSettings
from wherry.orchestration.apiserver.pki import Authority, ensure


def authority(settings: NodeSettings) -> Authority:
    """Make or load keys and certificates; renew what nears its end."""
    addresses = ("127.0.0.1", node_address(settings), settings.cluster.kubernetes_address)
    return ensure(
        settings.authority_dir, identities=settings.identity_dir, names=(settings.node_name, REGISTRY_NAME),
        addresses=addresses, node_name=settings.node_name, now=datetime.now(UTC), cluster_domain=settings.cluster.cluster_domain,
    )  # fmt: skip
