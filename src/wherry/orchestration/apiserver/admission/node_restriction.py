"""NodeRestriction: a node's agent writes its own Node, its own lease and the Pods bound to it, and no more.

In:    requests of users that are nodes; everybody else passes.
Out:   `ApiError` 403 for what is not the node's.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
       upstream plugin/pkg/admission/noderestriction. Tokens and certificates of pods: `pod_identities.py`.
Stricter: a node's Node may carry no ownerReferences from the start; a mirror pod's volumes come from a list of kinds.
"""

from collections.abc import Callable
from copy import deepcopy

from cryptography.x509.oid import NameOID

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission import node_labels
from wherry.orchestration.apiserver.admission.certificates import POD_REQUESTS, REQUESTS, subject_of
from wherry.orchestration.apiserver.admission.chain import CREATE, DELETE, UPDATE, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.admission.pod_identities import PodIdentities
from wherry.orchestration.apiserver.admission.pod_references import first_reference
from wherry.orchestration.apiserver.auth.authorizer import Authorizer
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.apiserver.user import NODES as NODES_GROUP
from wherry.orchestration.objects.kinds import NODES, PODS
from wherry.orchestration.objects.meta import Object, annotations_of, labels_of, name_of, uid_of
from wherry.orchestration.objects.well_known import (
    KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME,
    KUBELET_SERVING_SIGNER_NAME,
    MIRROR_POD_ANNOTATION_KEY,
)

LEASE_NAMESPACE = "kube-node-lease"
NODE_SIGNERS = (KUBELET_SERVING_SIGNER_NAME, KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME)
# What a node tells of a claim it has resized; the rest of the claim is not its business.
CLAIM_STATUS_FIELDS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")


class NodeRestriction(Plugin):
    """See the module docstring."""

    def __init__(self, source: ObjectSource, authorizer: Authorizer) -> None:
        self._source = source
        identities = PodIdentities(source, authorizer)
        self._checks: dict[tuple[str, str], Callable[[AdmissionRequest, str], None]] = {
            ("", "pods"): self._check_pod,
            ("", "nodes"): self._check_node,
            ("", "serviceaccounts"): identities.check_token,
            ("", "persistentvolumeclaims"): self._check_claim,
            ("coordination.k8s.io", "leases"): self._check_lease,
            ("storage.k8s.io", "csinodes"): self._check_csi_node,
            REQUESTS: self._check_signing_request,
            POD_REQUESTS: identities.check_certificate,
        }
        self.places = self._checks.keys()

    async def validate(self, request: AdmissionRequest) -> None:
        node = request.user.node_name
        if node:
            self._checks[request.place](request, node)

    def _check_pod(self, request: AdmissionRequest, node: str) -> None:
        if request.operation == CREATE and not request.subresource:
            self._check_mirror(request, node)
            return
        pod = request.old or self._source.get(PODS, request.namespace, request.name)
        if pod is not None and pod["spec"].get("nodeName") != node:
            verb = "delete" if request.operation == DELETE else "update status for" if request.subresource == "status" else "update"
            raise _refuse(request, f'node "{node}" can only {verb} pods with spec.nodeName set to itself')
        if request.operation != UPDATE:
            return
        if request.subresource != "status":
            raise _refuse(request, f'unexpected pod subresource "{request.subresource}", only "status" is allowed')
        assert request.obj is not None and request.old is not None
        if labels_of(request.obj) != labels_of(request.old):
            raise _refuse(request, f'node "{node}" cannot update labels through pod status')
        if _claims_of(request.obj) != _claims_of(request.old):
            raise _refuse(request, f'node "{node}" cannot update resource claim statuses')

    def _check_mirror(self, request: AdmissionRequest, node: str) -> None:
        assert request.obj is not None
        pod = request.obj
        if MIRROR_POD_ANNOTATION_KEY not in annotations_of(pod):
            raise _refuse(request, f'pod does not have "{MIRROR_POD_ANNOTATION_KEY}" annotation, node "{node}" can only '
                          "create mirror pods")
        if pod["spec"].get("nodeName") != node:
            raise _refuse(request, f'node "{node}" can only create pods with spec.nodeName set to itself')
        owners = pod["metadata"].get("ownerReferences") or []
        if len(owners) != 1:
            raise _refuse(request, f'node "{node}" can only create pods with a single owner reference set to itself')
        owner = owners[0]
        if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
            raise _refuse(request, f'node "{node}" can only create pods with an owner reference set to itself')
        if not owner.get("controller"):
            raise _refuse(request, f'node "{node}" can only create pods with a controller owner reference set to itself')
        if owner.get("blockOwnerDeletion"):
            raise _refuse(request, f'node "{node}" must not set blockOwnerDeletion on an owner reference')
        own = self._source.get(NODES, "", node)
        if own is None or owner.get("uid") != uid_of(own):
            raise _refuse(request, f'node "{node}" UID mismatch: the owner reference does not name the Node as it is')
        reference = first_reference(pod)
        if reference:
            raise _refuse(request, f'node "{node}" can not create pods that reference {reference}')

    def _check_node(self, request: AdmissionRequest, node: str) -> None:
        if request.name != node:
            raise _refuse(request, f'node "{node}" is not allowed to modify node "{request.name}"')
        if request.operation not in (CREATE, UPDATE):
            raise _refuse(request, f'node "{node}" is not allowed to delete node "{name_of(request.old or {})}"')
        assert request.obj is not None
        old = request.old or {}
        if request.operation == UPDATE and _taints(request.obj) != _taints(old):
            raise _refuse(request, f'node "{node}" is not allowed to modify taints')
        if _owners(request.obj) != _owners(old):
            raise _refuse(request, f'node "{node}" is not allowed to modify ownerReferences')
        new_labels, old_labels = labels_of(request.obj), labels_of(old)
        changed = [key for key in {**new_labels, **old_labels} if new_labels.get(key) != old_labels.get(key)]
        if forbidden := node_labels.forbidden(changed):
            raise _refuse(request, f'node "{node}" is not allowed to modify labels: {", ".join(forbidden)}')

    def _check_claim(self, request: AdmissionRequest, node: str) -> None:
        if request.operation != UPDATE or request.subresource != "status":
            raise _refuse(request, f'node "{node}" may only update the status of claims')
        assert request.obj is not None and request.old is not None
        if _without_status(request.obj) != _without_status(request.old):
            raise _refuse(request, f'node "{node}" is not allowed to update fields other than '
                          f"{', '.join(f'status.{name}' for name in CLAIM_STATUS_FIELDS)}")

    def _check_lease(self, request: AdmissionRequest, node: str) -> None:
        if request.namespace != LEASE_NAMESPACE or request.name != node:
            raise _refuse(request, f"can only access node lease with the same name as the requesting node: {node}")

    def _check_csi_node(self, request: AdmissionRequest, node: str) -> None:
        if request.name != node:
            raise _refuse(request, f'cannot modify CSINode of another node: "{node}"')

    def _check_signing_request(self, request: AdmissionRequest, node: str) -> None:
        if request.operation != CREATE or request.subresource or request.obj is None:
            return
        spec = request.obj.get("spec") or {}
        if spec.get("signerName") not in NODE_SIGNERS:
            return
        try:
            subject = subject_of(request.obj)
        except ValueError as error:
            raise _refuse(request, f"unable to parse csr: {error}") from error
        names = [part.value for part in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        groups = [part.value for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        if names != [request.user.name] or groups != [NODES_GROUP]:
            raise _refuse(request, f'can only create a node CSR with CN={request.user.name} and O={NODES_GROUP}')


def _refuse(request: AdmissionRequest, why: str) -> errors.ApiError:
    return errors.forbidden(request.resource, request.name, why)


def _taints(node: Object) -> list[Object]:
    return (node.get("spec") or {}).get("taints") or []


def _owners(obj: Object) -> list[Object]:
    return (obj.get("metadata") or {}).get("ownerReferences") or []


def _claims_of(pod: Object) -> object:
    return (pod.get("status") or {}).get("resourceClaimStatuses") or []


def _without_status(claim: Object) -> Object:
    kept = deepcopy(claim)
    for name in CLAIM_STATUS_FIELDS:
        (kept.get("status") or {}).pop(name, None)
    for name in ("managedFields", "resourceVersion"):
        kept["metadata"].pop(name, None)
    return kept
