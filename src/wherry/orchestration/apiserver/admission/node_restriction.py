"""NodeRestriction: a node's agent writes its own Node, its own lease and the Pods bound to it, and no more.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, DELETE, UPDATE, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.admission.service_accounts import MIRROR_ANNOTATION
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.meta import Object, annotations_of, labels_of, name_of

RESTRICTED_LABELS = ("node-restriction.kubernetes.io/",)
LEASE_NAMESPACE = "kube-node-lease"


class NodeRestriction(Plugin):
    """See the module docstring."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def validate(self, request: AdmissionRequest) -> None:
        node = request.user.node_name
        if not node:
            return
        match request.place:
            case ("", "pods"):
                self._check_pod(request, node)
            case ("", "nodes"):
                self._check_node(request, node)
            case ("coordination.k8s.io", "leases"):
                if request.namespace != LEASE_NAMESPACE or request.name != node:
                    raise self._refuse(request, f'can only access node lease with the same name as the requesting node: {node}')
            case ("storage.k8s.io", "csinodes"):
                if request.name != node:
                    raise self._refuse(request, f'cannot modify CSINode of another node: "{node}"')

    def _refuse(self, request: AdmissionRequest, why: str) -> errors.ApiError:
        return errors.forbidden(request.resource, request.name, why)

    def _check_pod(self, request: AdmissionRequest, node: str) -> None:
        if request.operation == CREATE and not request.subresource:
            assert request.obj is not None
            if MIRROR_ANNOTATION not in annotations_of(request.obj):
                raise self._refuse(request, f'pod does not have "{MIRROR_ANNOTATION}" annotation, node "{node}" can only '
                                   "create mirror pods")
            if request.obj["spec"].get("nodeName") != node:
                raise self._refuse(request, f'node "{node}" can only create pods with spec.nodeName set to itself')
            return
        pod = request.old or self._source.get(PODS, request.namespace, request.name)
        if pod is not None and pod["spec"].get("nodeName") != node:
            verb = "delete" if request.operation == DELETE else "update status for" if request.subresource == "status" else "update"
            raise self._refuse(request, f'node "{node}" can only {verb} pods with spec.nodeName set to itself')
        if request.operation == UPDATE and request.subresource == "status":
            assert request.obj is not None and request.old is not None
            if labels_of(request.obj) != labels_of(request.old):
                raise self._refuse(request, f'node "{node}" cannot update labels through pod status')

    def _check_node(self, request: AdmissionRequest, node: str) -> None:
        if request.name != node:
            raise self._refuse(request, f'node "{node}" is not allowed to modify node "{request.name}"')
        if request.operation == CREATE:
            assert request.obj is not None
            changed = set(_restricted(request.obj))
        elif request.operation == UPDATE:
            assert request.obj is not None and request.old is not None
            if _taints(request.obj) != _taints(request.old):
                raise self._refuse(request, f'node "{node}" is not allowed to modify taints')
            changed = {k for k in {**_restricted(request.obj), **_restricted(request.old)}
                       if labels_of(request.obj).get(k) != labels_of(request.old).get(k)}
        else:
            raise self._refuse(request, f'node "{node}" is not allowed to delete node "{name_of(request.old or {})}"')
        if changed:
            raise self._refuse(request, f'is not allowed to modify labels: {", ".join(sorted(changed))}')


def _taints(node: Object) -> list[Object]:
    return node.get("spec", {}).get("taints") or []


def _restricted(node: Object) -> dict[str, str]:
    return {k: v for k, v in labels_of(node).items() if k.startswith(RESTRICTED_LABELS)}
