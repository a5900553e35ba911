"""What kind each subresource speaks and which verbs it has.

Spec:  https://kubernetes.io/docs/reference/kubernetes-api/ ; `kubectl get --raw /api/v1`.
"""

from typing import NamedTuple

from wherry.orchestration.objects.resources import Resource

READ_WRITE = ("get", "patch", "update")
CONNECT = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")


class Subresource(NamedTuple):
    """`group` and `version` are those of `kind`, not of the parent."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


_SPECIAL: dict[tuple[str, str], tuple[str, str, str, tuple[str, ...]]] = {
    ("pods", "attach"): ("", "v1", "PodAttachOptions", CONNECT),
    ("pods", "binding"): ("", "v1", "Binding", ("create",)),
    ("pods", "eviction"): ("policy", "v1", "Eviction", ("create",)),
    ("pods", "exec"): ("", "v1", "PodExecOptions", CONNECT),
    ("pods", "log"): ("", "v1", "Pod", ("get",)),
    ("pods", "portforward"): ("", "v1", "PodPortForwardOptions", CONNECT),
    ("pods", "proxy"): ("", "v1", "PodProxyOptions", PROXY),
    ("services", "proxy"): ("", "v1", "ServiceProxyOptions", PROXY),
    ("nodes", "proxy"): ("", "v1", "NodeProxyOptions", PROXY),
    ("serviceaccounts", "token"): ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    ("namespaces", "finalize"): ("", "v1", "Namespace", ("update",)),
}


def subresources_of(resource: Resource) -> list[Subresource]:
    """In the order of `resource.subresources`."""
    return [_subresource(resource, name) for name in resource.subresources]


def _subresource(resource: Resource, name: str) -> Subresource:
    if name == "scale":
        return Subresource(name, "autoscaling", "v1", "Scale", READ_WRITE)
    special = _SPECIAL.get((resource.plural, name)) if resource.group == "" else None
    if special is not None:
        return Subresource(name, *special)
    return Subresource(name, resource.group, resource.version, resource.kind, READ_WRITE)
