"""What must be on disk before the processes start: keys, certificates, kubeconfigs.

In:    the cluster's settings.
Out:   `<data dir>/pki`, `<data dir>/admin.conf`, and the cluster's context in the user's kubeconfig.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wherry.assembly.address import node_address
from wherry.assembly.private import make_private
from wherry.assembly.settings import ClusterSettings
from wherry.orchestration.apiserver.pki import Pki, ensure, merge_into, remove_from
from wherry.orchestration.apiserver.pki.kubeconfig import write


def pki(settings: ClusterSettings) -> Pki:
    """Make or load keys and certificates."""
    addresses = ("127.0.0.1", node_address(settings), settings.kubernetes_address)
    return ensure(
        settings.pki_dir, names=(settings.node_name, "registry.wherry.local"), addresses=addresses,
        node_name=settings.node_name, now=datetime.now(UTC), cluster_domain=settings.cluster_domain,
    )  # fmt: skip


def user_kubeconfig(given: str | None) -> Path:
    """Where kubectl would look: the flag, the first of $KUBECONFIG, ~/.kube/config."""
    named = given or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path("~/.kube/config").expanduser()


def admin_config(settings: ClusterSettings, keys: Pki) -> dict[str, Any]:
    """The admin's kubeconfig document."""
    return keys.kubeconfig("admin", f"https://127.0.0.1:{settings.api_port}", name=settings.name)


def prepare(settings: ClusterSettings, *, kubeconfig: str | None) -> Path:
    """Everything the processes need; return the user's kubeconfig, which now has the context."""
    make_private(settings)
    keys = pki(settings)
    document = admin_config(settings, keys)
    write(settings.admin_kubeconfig, document)
    path = user_kubeconfig(kubeconfig)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    merge_into(path, document)
    return path


def forget_context(settings: ClusterSettings, *, kubeconfig: str | None) -> None:
    """Take the cluster's context out of the user's kubeconfig."""
    if settings.pki_dir.exists():
        remove_from(user_kubeconfig(kubeconfig), admin_config(settings, pki(settings)))
