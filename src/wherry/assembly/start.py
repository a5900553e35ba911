"""What must be on disk before the processes start: keys, certificates, kubeconfigs.

In:    the node's settings.
Out:   `<data dir>/pki` and `<data dir>/identity`, `<data dir>/admin.conf`, and the cluster's context in the user's kubeconfig.
"""

import os
from pathlib import Path
from typing import Any

from wherry.assembly.authority import authority
from wherry.assembly.node import NodeSettings
from wherry.assembly.private import make_private
from wherry.orchestration.apiserver.pki import Authority, merge_into, remove_from
from wherry.orchestration.apiserver.pki.kubeconfig import write


def user_kubeconfig(given: str | None) -> Path:
    """Where kubectl would look: the flag, the first of $KUBECONFIG, ~/.kube/config."""
    named = given or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path("~/.kube/config").expanduser()


def admin_config(settings: NodeSettings, keys: Authority) -> dict[str, Any]:
    """The admin's kubeconfig document."""
    return keys.kubeconfig("admin", settings.api_url, name=settings.cluster.name)


def prepare(settings: NodeSettings, *, kubeconfig: str | None) -> Path | None:
    """Everything the processes need; return the user's kubeconfig, which now has the context; None on a node that joined."""
    make_private(settings)
    if settings.is_joined:
        return None
    keys = authority(settings)
    document = admin_config(settings, keys)
    write(settings.admin_kubeconfig, document)
    path = user_kubeconfig(kubeconfig)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    merge_into(path, document)
    return path


def forget_context(settings: NodeSettings, *, kubeconfig: str | None) -> None:
    """Take the cluster's context out of the user's kubeconfig."""
    if settings.authority_dir.exists():
        remove_from(user_kubeconfig(kubeconfig), admin_config(settings, authority(settings)))
