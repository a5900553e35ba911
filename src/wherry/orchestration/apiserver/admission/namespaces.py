"""NamespaceLifecycle: nothing is created in a namespace that is not there or is going; three namespaces stay for ever."""

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, DELETE, ITSELF, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import NAMESPACES

IMMORTAL = ("default", "kube-system", "kube-public")


class NamespaceLifecycle(Plugin):
    """See the module docstring."""

    operations = frozenset({CREATE, DELETE})
    subresources = ITSELF

    def __init__(self, source: ObjectSource, registry: Registry) -> None:
        self._source = source
        self._registry = registry

    async def admit(self, request: AdmissionRequest) -> None:
        if request.operation == DELETE and request.place == ("", "namespaces") and request.name in IMMORTAL:
            raise errors.forbidden(NAMESPACES, request.name, "this namespace may not be deleted")
        if request.operation != CREATE or not request.namespace:
            return
        namespace = self._source.get(NAMESPACES, "", request.namespace)
        if namespace is None:
            await self._registry.fresh()
            namespace = self._source.get(NAMESPACES, "", request.namespace)
        if namespace is None:
            raise errors.not_found(NAMESPACES, request.namespace)
        if namespace["metadata"].get("deletionTimestamp"):
            name = request.namespace
            cause = errors.cause("NamespaceTerminating", "metadata.namespace", f"namespace {name} is being terminated")
            raise errors.forbidden(
                request.resource, request.name,
                f"unable to create new content in namespace {name} because it is being terminated", [cause])
