"""The values Kubernetes fills in where a manifest is silent: `apply_defaults` is the one door.

In:    a decoded built-in object, which the caller owns.
Out:   the same object with upstream's defaults. Applying twice changes nothing more.
Spec:  the "Defaults to" of the API reference, Kubernetes 1.37.
Never: allocates (cluster IPs, node ports, names) or reads other objects (service accounts, storage classes, quotas).
"""

from collections.abc import Callable, Mapping

from wherry.orchestration.objects.defaulting import admission, core, other, services, storage, workloads
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

__all__ = ["apply_defaults"]

Defaulter = Callable[[Object], None]

_BY_KIND: Mapping[tuple[str, str], Defaulter] = {
    **core.DEFAULTERS,
    **services.DEFAULTERS,
    **workloads.DEFAULTERS,
    **storage.DEFAULTERS,
    **admission.DEFAULTERS,
    **other.DEFAULTERS,
}


def apply_defaults(resource: Resource, obj: Object) -> Object:
    """Fill `obj` in place and return it. Custom resources come back as they are (`CompiledSchema.default` fills those)."""
    defaulter = _BY_KIND.get((resource.group, resource.kind))
    if defaulter is not None:
        defaulter(obj)
    return obj
