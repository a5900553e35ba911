"""What the kinds of the core group are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain, same, special, subject
from wherry.orchestration.apiserver.strategies.claims import ClaimStrategy
from wherry.orchestration.apiserver.strategies.kinds import NamespaceStrategy, NodeStrategy, SecretStrategy
from wherry.orchestration.apiserver.strategies.pods import PodStrategy
from wherry.orchestration.apiserver.strategies.services import ServiceStrategy
from wherry.orchestration.apiserver.strategies.volumes import VolumeStrategy
from wherry.orchestration.apiserver.tables import cluster, network, pods, storage, workloads
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.BINDINGS, "Puts a pod on a node."),
    Sheet(kinds.COMPONENT_STATUSES, "How a part of the control plane does.", columns=cluster.COMPONENT_STATUS),
    Sheet(kinds.CONFIG_MAPS, "Configuration as keys and values.", columns=cluster.CONFIG_MAP),
    Sheet(
        kinds.ENDPOINTS, "Addresses behind a Service (old form; see EndpointSlice).", strategy=plain(creates_on_update=True),
        columns=network.ENDPOINTS),
    Sheet(
        kinds.EVENTS, "A report of something that happened to an object.", strategy=plain(creates_on_update=True),
        columns=cluster.EVENT,
        fields=subject("involvedObject") | {
            "reason": "reason", "reportingComponent": "reportingComponent", "source": "source.component", "type": "type"}),
    Sheet(kinds.LIMIT_RANGES, "Limits and defaults for single objects of a namespace.", strategy=plain(creates_on_update=True)),
    Sheet(
        kinds.NAMESPACES, "A room for names: most objects live in one.", strategy=special(NamespaceStrategy),
        columns=cluster.NAMESPACE, fields=same("status.phase")),
    Sheet(
        kinds.NODES, "A machine that runs pods.", strategy=special(NodeStrategy), columns=cluster.NODE,
        fields=same("spec.unschedulable")),
    Sheet(
        kinds.PERSISTENT_VOLUME_CLAIMS, "A request for storage.", strategy=special(ClaimStrategy),
        columns=storage.PERSISTENT_VOLUME_CLAIM),
    Sheet(
        kinds.PERSISTENT_VOLUMES, "Storage that outlives pods.", strategy=special(VolumeStrategy),
        columns=storage.PERSISTENT_VOLUME),
    Sheet(
        kinds.PODS, "One or more containers that share a network address and volumes, placed together on one node.",
        strategy=special(PodStrategy), columns=pods.PODS,
        fields=same(
            "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
            "status.phase", "status.podIP", "status.nominatedNodeName")),
    Sheet(
        kinds.POD_TEMPLATES, "A pod to make copies of, stored by itself.", strategy=plain(tracks_generation=True),
        columns=workloads.POD_TEMPLATE),
    Sheet(
        kinds.REPLICATION_CONTROLLERS, "Keeps a number of pods running (old form; see Deployment).",
        strategy=plain(tracks_generation=True, initial_status={"replicas": 0}), columns=workloads.REPLICATION_CONTROLLER,
        fields=same("status.replicas")),
    Sheet(kinds.RESOURCE_QUOTAS, "Limits what a namespace may use in total.", columns=cluster.RESOURCE_QUOTA),
    Sheet(
        kinds.SECRETS, "Confidential keys and values.", strategy=special(SecretStrategy), columns=cluster.SECRET,
        fields=same("type")),
    Sheet(kinds.SERVICE_ACCOUNTS, "An identity for processes in pods.", columns=cluster.SERVICE_ACCOUNT),
    Sheet(
        kinds.SERVICES, "A stable address and name in front of a set of pods.", strategy=special(ServiceStrategy),
        columns=network.SERVICE, fields=same("spec.clusterIP", "spec.type")),
)
