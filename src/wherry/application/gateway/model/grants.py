"""References across namespaces: allowed only where a ReferenceGrant in the target's namespace says so.

Spec:  Gateway API v1beta1 ReferenceGrant.
"""

from wherry.application.gateway.model.freshness import Lack
from wherry.application.gateway.model.kinds import REFERENCE_GRANTS
from wherry.application.gateway.model.snapshot import Reader
from wherry.orchestration.objects.meta import Object

GRANTS_BY_NAMESPACE = "referencegrants by namespace"


def is_granted(
    reader: Reader, *, group: str, kind: str, namespace: str, to_group: str, to_kind: str, to_namespace: str, to_name: str
) -> bool:
    """May an object of `group`/`kind` in `namespace` refer to that target?"""
    if namespace == to_namespace:
        return True
    is_allowed = any(
        _allows_from(grant, group, kind, namespace) and _allows_to(grant, to_group, to_kind, to_name)
        for grant in reader.get(GRANTS_BY_NAMESPACE, to_namespace) or ()
    )
    if not is_allowed:
        reader.lacks(Lack(REFERENCE_GRANTS, to_namespace))
    return is_allowed


def _allows_from(grant: Object, group: str, kind: str, namespace: str) -> bool:
    return any(
        entry.get("group", "") == group and entry.get("kind") == kind and entry.get("namespace") == namespace
        for entry in (grant.get("spec") or {}).get("from") or ()
    )


def _allows_to(grant: Object, group: str, kind: str, name: str) -> bool:
    return any(
        entry.get("group", "") == group and entry.get("kind") == kind and entry.get("name") in (None, "", name)
        for entry in (grant.get("spec") or {}).get("to") or ()
    )
