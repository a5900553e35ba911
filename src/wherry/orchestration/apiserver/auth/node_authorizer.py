"""The node authorizer: a node reads only what its own pods refer to, and writes only about itself.

In:    questions of users in group system:nodes; pods, claims and volumes through the `ObjectSource`.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/node/ ; KEP-4601 (selectors).
Cost:  one pass over the pods of one namespace after a pod changed there, on the first question that the pass before
       does not answer with yes. A yes may be older than the newest pod by at most `STALE_S`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.kit.clock import loop_time
from wherry.orchestration.apiserver.auth.authorizer import Attributes, Decision
from wherry.orchestration.apiserver.auth.bootstrap import NODE_RULES
from wherry.orchestration.apiserver.auth.rules import read_rules
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from wherry.orchestration.objects.meta import Object, annotations_of, name_of
from wherry.orchestration.objects.well_known import MIRROR_POD_ANNOTATION_KEY

STALE_S = 5.0
LEASE_NAMESPACE = "kube-node-lease"
READ = ("get", "list", "watch")
_LEASE_VERBS = ("get", "create", "update", "patch", "delete")
_NO_NAME = "can only read namespaced object of this type"

Reference = tuple[str, str]  # (plural, name) inside one namespace


@dataclass(frozen=True, slots=True)
class _Namespace:
    revision: int
    read_at: float
    by_node: Mapping[str, frozenset[Reference]]


class NodeAuthorizer:
    """No opinion about anybody but nodes."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self._namespaces: dict[str, _Namespace] = {}
        self._rules = read_rules(NODE_RULES)

    def authorize(self, attributes: Attributes) -> Decision:
        node = attributes.user.node_name
        if not node:
            return Decision(False)
        refusal = self._refusal(node, attributes) if attributes.is_resource else ""
        if refusal is None:
            return Decision(True)
        if refusal:
            return Decision(False, refusal)
        return Decision(any(rule.allows(attributes) for rule in self._rules))

    def _refusal(self, node: str, asked: Attributes) -> str | None:
        """None allows, a text refuses, "" leaves it to the rules of ClusterRole system:node."""
        match (asked.group, asked.resource):
            case ("", "secrets" | "configmaps"):
                return self._read_named(node, asked)
            case ("", "persistentvolumeclaims"):
                if asked.subresource == "status" and asked.verb in ("get", "update", "patch"):
                    return self._related(node, asked)
                return self._get_named(node, asked)
            case ("", "persistentvolumes"):
                return self._get_volume(node, asked)
            case ("storage.k8s.io", "volumeattachments"):
                return self._get_attachment(node, asked)
            case ("", "serviceaccounts"):
                return self._create_token(node, asked)
            case ("coordination.k8s.io", "leases"):
                return _own_lease(node, asked)
            case ("storage.k8s.io", "csinodes"):
                return _own_csi_node(node, asked)
            case ("", "nodes"):
                return _own_node(node, asked)
            case ("", "pods"):
                return self._own_pods(node, asked)
        return ""

    def _read_named(self, node: str, asked: Attributes) -> str | None:
        if asked.verb not in READ:
            return "can only read resources of this type"
        if asked.subresource:
            return "cannot read subresource"
        return self._related(node, asked)

    def _get_named(self, node: str, asked: Attributes) -> str | None:
        if asked.verb != "get":
            return "can only get individual resources of this type"
        if asked.subresource:
            return "cannot get subresource"
        return self._related(node, asked)

    def _related(self, node: str, asked: Attributes) -> str | None:
        if not asked.name:
            return "No Object name found"
        if not asked.namespace:
            return _NO_NAME
        if (asked.resource, asked.name) in self._references(node, asked.namespace, (asked.resource, asked.name)):
            return None
        return _no_relationship(node)

    def _get_volume(self, node: str, asked: Attributes) -> str | None:
        if asked.verb != "get" or asked.subresource:
            return "can only get individual resources of this type"
        volume = self._source.get(PERSISTENT_VOLUMES, "", asked.name)
        claim = ((volume or {}).get("spec") or {}).get("claimRef") or {}
        wanted = ("persistentvolumeclaims", claim.get("name", ""))
        if claim and wanted in self._references(node, claim.get("namespace", ""), wanted):
            return None
        return _no_relationship(node)

    def _get_attachment(self, node: str, asked: Attributes) -> str | None:
        if asked.verb != "get" or asked.subresource:
            return "can only get individual resources of this type"
        attachment = self._source.get(VOLUME_ATTACHMENTS, "", asked.name)
        if attachment is not None and attachment["spec"].get("nodeName") == node:
            return None
        return _no_relationship(node)

    def _create_token(self, node: str, asked: Attributes) -> str | None:
        if asked.verb == "get" and not asked.subresource:
            return self._related(node, asked)
        if asked.verb != "create" or asked.subresource != "token":
            return "can only create tokens for individual service accounts"
        return self._related(node, asked)

    def _own_pods(self, node: str, asked: Attributes) -> str | None:
        if asked.subresource:
            return ""
        if asked.verb == "get":
            pod = self._source.get(PODS, asked.namespace, asked.name)
            is_own = pod is None or (pod.get("spec") or {}).get("nodeName") == node
            return None if is_own else _no_relationship(node)
        if asked.verb in ("list", "watch"):
            if ("spec.nodeName", node) in asked.field_selector:
                return None
            if asked.name and asked.namespace:
                return self._own_pods(node, Attributes(
                    asked.user, "get", resource="pods", namespace=asked.namespace, name=asked.name))
            return "can only list/watch pods with spec.nodeName field selector"
        return ""

    def _references(self, node: str, namespace: str, wanted: Reference) -> frozenset[Reference]:
        """What the pods of `node` in `namespace` refer to; read again when that is old, or lacks `wanted`."""
        known = self._namespaces.get(namespace)
        revision = self._source.revision(PODS)
        now = loop_time()
        if known is not None:
            found = known.by_node.get(node, frozenset())
            if known.revision == revision or (wanted in found and now - known.read_at < STALE_S):
                return found
        by_node = _read_namespace(self._source, namespace)
        self._namespaces[namespace] = _Namespace(revision, now, by_node)
        return by_node.get(node, frozenset())


def _read_namespace(source: ObjectSource, namespace: str) -> dict[str, frozenset[Reference]]:
    by_node: dict[str, set[Reference]] = defaultdict(set)
    for pod in source.list(PODS, namespace):
        node = (pod.get("spec") or {}).get("nodeName")
        if node and MIRROR_POD_ANNOTATION_KEY not in annotations_of(pod):  # the node wrote it: it would open any door
            by_node[node].update(references_of(pod))
    for references in by_node.values():
        for plural, name in list(references):
            if plural == "persistentvolumeclaims":
                references.update(_secrets_of_claim(source, namespace, name))
    return {node: frozenset(references) for node, references in by_node.items()}


def references_of(pod: Object) -> Iterator[Reference]:
    """Everything namespaced that the node needs to read to run `pod`."""
    spec = pod.get("spec") or {}
    yield "serviceaccounts", spec.get("serviceAccountName") or "default"
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _references_of_volume(name_of(pod), volume)
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _references_of_environment(container)


def _references_of_volume(pod_name: str, volume: Mapping[str, Any]) -> Iterator[Reference]:
    for source in [volume, *((volume.get("projected") or {}).get("sources") or ())]:
        if source.get("configMap"):
            yield "configmaps", source["configMap"].get("name", "")
        if source.get("secret"):
            yield "secrets", source["secret"].get("secretName") or source["secret"].get("name", "")
    if volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", volume["persistentVolumeClaim"].get("claimName", "")
    if volume.get("ephemeral"):
        yield "persistentvolumeclaims", f"{pod_name}-{volume.get('name', '')}"
    for driver in volume.values():
        if isinstance(driver, dict):
            for key in ("secretRef", "nodePublishSecretRef"):
                if driver.get(key):
                    yield "secrets", driver[key].get("name", "")


def _references_of_environment(container: Mapping[str, Any]) -> Iterator[Reference]:
    for entry in container.get("envFrom") or ():
        if entry.get("configMapRef"):
            yield "configmaps", entry["configMapRef"].get("name", "")
        if entry.get("secretRef"):
            yield "secrets", entry["secretRef"].get("name", "")
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        if source.get("configMapKeyRef"):
            yield "configmaps", source["configMapKeyRef"].get("name", "")
        if source.get("secretKeyRef"):
            yield "secrets", source["secretKeyRef"].get("name", "")


def _secrets_of_claim(source: ObjectSource, namespace: str, name: str) -> Iterator[Reference]:
    claim = source.get(PERSISTENT_VOLUME_CLAIMS, namespace, name)
    volume_name = ((claim or {}).get("spec") or {}).get("volumeName")
    volume = source.get(PERSISTENT_VOLUMES, "", volume_name) if volume_name else None
    for driver in ((volume or {}).get("spec") or {}).values():
        if not isinstance(driver, dict):
            continue
        for key in ("secretRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"):
            secret = driver.get(key) or {}
            if secret.get("namespace", namespace) == namespace and secret.get("name"):
                yield "secrets", secret["name"]


def _own_lease(node: str, asked: Attributes) -> str | None:
    if asked.verb not in _LEASE_VERBS:
        return "can only get, create, update, patch, or delete a node lease"
    if asked.namespace != LEASE_NAMESPACE:
        return f'can only access leases in the "{LEASE_NAMESPACE}" system namespace'
    if asked.verb != "create" and asked.name != node:  # a create has no name yet; NodeRestriction looks at it
        return "can only access node lease with the same name as the requesting node"
    return None


def _own_csi_node(node: str, asked: Attributes) -> str | None:
    if asked.verb not in _LEASE_VERBS:
        return "can only get, create, update, patch, or delete a CSINode"
    if asked.subresource:
        return "cannot authorize CSINode subresources"
    if asked.verb != "create" and asked.name != node:
        return "can only access CSINode with the same name as the requesting node"
    return None


def _own_node(node: str, asked: Attributes) -> str | None:
    if asked.subresource and asked.subresource != "status":
        return ""
    if asked.verb in READ and asked.name != node:
        return f"node {node!r} cannot read {asked.name!r}, only its own Node object" if asked.name else (
            "can only list/watch nodes with a metadata.name field selector of the requesting node")
    if asked.verb in ("update", "patch") and asked.name != node:
        return "can only write the Node object of the requesting node"
    return ""


def _no_relationship(node: str) -> str:
    return f"no relationship found between node '{node}' and this object"
