"""Every built-in resource this API server serves, one constant a resource, in the order discovery lists their groups.

Out:   `BUILTIN` and the constants (plural of the kind, upper snake case); `find` and `by_kind` look rows up.
Spec:  Kubernetes 1.37 discovery, stable versions (`kubectl api-resources`); a test holds it to the upstream schema.
Cost:  a literal table, no file is read.
Never: holds custom resources or aggregated APIs; the API server keeps those at run time.
"""

from collections.abc import Iterable

from wherry.orchestration.objects.resources import ALL_VERBS, Resource

NO_COLLECTION = ("create", "delete", "get", "list", "patch", "update", "watch")
READ_ONLY = ("get", "list")
CREATE_ONLY = ("create",)
ALL = ("all",)
API_EXTENSIONS = ("api-extensions",)


def _row(
    group: str, kind: str, plural: str, namespaced: bool, version: str, short: str,
    categories: Iterable[str], sub: str, verbs: tuple[str, ...],
) -> Resource:
    return Resource(
        group, version, kind, plural, kind.lower(), namespaced,
        tuple(short.split()), tuple(categories), tuple(sub.split()), verbs,
    )


def _namespaced(
    group: str, kind: str, plural: str, *, version: str = "v1", short: str = "",
    categories: tuple[str, ...] = (), sub: str = "", verbs: tuple[str, ...] = ALL_VERBS,
) -> Resource:
    return _row(group, kind, plural, True, version, short, categories, sub, verbs)


def _cluster(
    group: str, kind: str, plural: str, *, version: str = "v1", short: str = "",
    categories: tuple[str, ...] = (), sub: str = "", verbs: tuple[str, ...] = ALL_VERBS,
) -> Resource:
    return _row(group, kind, plural, False, version, short, categories, sub, verbs)


BINDINGS = _namespaced("", "Binding", "bindings", verbs=CREATE_ONLY)
COMPONENT_STATUSES = _cluster("", "ComponentStatus", "componentstatuses", short="cs", verbs=READ_ONLY)
CONFIG_MAPS = _namespaced("", "ConfigMap", "configmaps", short="cm")
ENDPOINTS = _namespaced("", "Endpoints", "endpoints", short="ep")
EVENTS = _namespaced("", "Event", "events", short="ev")
LIMIT_RANGES = _namespaced("", "LimitRange", "limitranges", short="limits")
NAMESPACES = _cluster("", "Namespace", "namespaces", short="ns", sub="finalize status", verbs=NO_COLLECTION)
NODES = _cluster("", "Node", "nodes", short="no", sub="proxy status")
PERSISTENT_VOLUME_CLAIMS = _namespaced("", "PersistentVolumeClaim", "persistentvolumeclaims", short="pvc", sub="status")
PERSISTENT_VOLUMES = _cluster("", "PersistentVolume", "persistentvolumes", short="pv", sub="status")
PODS = _namespaced(
    "", "Pod", "pods",
    short="po", categories=ALL,
    sub="attach binding ephemeralcontainers eviction exec log portforward proxy resize status",
)
POD_TEMPLATES = _namespaced("", "PodTemplate", "podtemplates")
REPLICATION_CONTROLLERS = _namespaced(
    "", "ReplicationController", "replicationcontrollers", short="rc", categories=ALL, sub="scale status"
)
RESOURCE_QUOTAS = _namespaced("", "ResourceQuota", "resourcequotas", short="quota", sub="status")
SECRETS = _namespaced("", "Secret", "secrets")
SERVICE_ACCOUNTS = _namespaced("", "ServiceAccount", "serviceaccounts", short="sa", sub="token")
SERVICES = _namespaced("", "Service", "services", short="svc", categories=ALL, sub="proxy status")
API_SERVICES = _cluster("apiregistration.k8s.io", "APIService", "apiservices", categories=API_EXTENSIONS, sub="status")
CONTROLLER_REVISIONS = _namespaced("apps", "ControllerRevision", "controllerrevisions")
DAEMON_SETS = _namespaced("apps", "DaemonSet", "daemonsets", short="ds", categories=ALL, sub="status")
DEPLOYMENTS = _namespaced("apps", "Deployment", "deployments", short="deploy", categories=ALL, sub="scale status")
REPLICA_SETS = _namespaced("apps", "ReplicaSet", "replicasets", short="rs", categories=ALL, sub="scale status")
STATEFUL_SETS = _namespaced("apps", "StatefulSet", "statefulsets", short="sts", categories=ALL, sub="scale status")
EVENTS_V1 = _namespaced("events.k8s.io", "Event", "events", short="ev")
SELF_SUBJECT_REVIEWS = _cluster("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", verbs=CREATE_ONLY)
TOKEN_REVIEWS = _cluster("authentication.k8s.io", "TokenReview", "tokenreviews", verbs=CREATE_ONLY)
LOCAL_SUBJECT_ACCESS_REVIEWS = _namespaced(
    "authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews", verbs=CREATE_ONLY
)
SELF_SUBJECT_ACCESS_REVIEWS = _cluster(
    "authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews", verbs=CREATE_ONLY
)
SELF_SUBJECT_RULES_REVIEWS = _cluster(
    "authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews", verbs=CREATE_ONLY
)
SUBJECT_ACCESS_REVIEWS = _cluster(
    "authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", verbs=CREATE_ONLY
)
HORIZONTAL_POD_AUTOSCALERS = _namespaced(
    "autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers",
    version="v2", short="hpa", categories=ALL, sub="status",
)
HORIZONTAL_POD_AUTOSCALERS_V1 = _namespaced(
    "autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", short="hpa", categories=ALL, sub="status"
)
CRON_JOBS = _namespaced("batch", "CronJob", "cronjobs", short="cj", categories=ALL, sub="status")
JOBS = _namespaced("batch", "Job", "jobs", categories=ALL, sub="status")
CERTIFICATE_SIGNING_REQUESTS = _cluster(
    "certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests",
    short="csr", sub="approval status",
)
CLUSTER_TRUST_BUNDLES = _cluster("certificates.k8s.io", "ClusterTrustBundle", "clustertrustbundles")
POD_CERTIFICATE_REQUESTS = _namespaced(
    "certificates.k8s.io", "PodCertificateRequest", "podcertificaterequests", sub="status"
)
IP_ADDRESSES = _cluster("networking.k8s.io", "IPAddress", "ipaddresses", short="ip")
INGRESS_CLASSES = _cluster("networking.k8s.io", "IngressClass", "ingressclasses")
INGRESSES = _namespaced("networking.k8s.io", "Ingress", "ingresses", short="ing", sub="status")
NETWORK_POLICIES = _namespaced("networking.k8s.io", "NetworkPolicy", "networkpolicies", short="netpol")
SERVICE_CIDRS = _cluster("networking.k8s.io", "ServiceCIDR", "servicecidrs", sub="status")
POD_DISRUPTION_BUDGETS = _namespaced("policy", "PodDisruptionBudget", "poddisruptionbudgets", short="pdb", sub="status")
CLUSTER_ROLE_BINDINGS = _cluster("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings")
CLUSTER_ROLES = _cluster("rbac.authorization.k8s.io", "ClusterRole", "clusterroles")
ROLE_BINDINGS = _namespaced("rbac.authorization.k8s.io", "RoleBinding", "rolebindings")
ROLES = _namespaced("rbac.authorization.k8s.io", "Role", "roles")
CSI_DRIVERS = _cluster("storage.k8s.io", "CSIDriver", "csidrivers")
CSI_NODES = _cluster("storage.k8s.io", "CSINode", "csinodes")
CSI_STORAGE_CAPACITIES = _namespaced("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities")
STORAGE_CLASSES = _cluster("storage.k8s.io", "StorageClass", "storageclasses", short="sc")
VOLUME_ATTACHMENTS = _cluster("storage.k8s.io", "VolumeAttachment", "volumeattachments", sub="status")
VOLUME_ATTRIBUTES_CLASSES = _cluster("storage.k8s.io", "VolumeAttributesClass", "volumeattributesclasses", short="vac")
MUTATING_ADMISSION_POLICIES = _cluster(
    "admissionregistration.k8s.io", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", categories=API_EXTENSIONS
)
MUTATING_ADMISSION_POLICY_BINDINGS = _cluster(
    "admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings",
    categories=API_EXTENSIONS,
)
MUTATING_WEBHOOK_CONFIGURATIONS = _cluster(
    "admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
    categories=API_EXTENSIONS,
)
VALIDATING_ADMISSION_POLICIES = _cluster(
    "admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies",
    categories=API_EXTENSIONS, sub="status",
)
VALIDATING_ADMISSION_POLICY_BINDINGS = _cluster(
    "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings",
    categories=API_EXTENSIONS,
)
VALIDATING_WEBHOOK_CONFIGURATIONS = _cluster(
    "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
    categories=API_EXTENSIONS,
)
CUSTOM_RESOURCE_DEFINITIONS = _cluster(
    "apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions",
    short="crd crds", categories=API_EXTENSIONS, sub="status",
)
PRIORITY_CLASSES = _cluster("scheduling.k8s.io", "PriorityClass", "priorityclasses", short="pc")
LEASES = _namespaced("coordination.k8s.io", "Lease", "leases")
RUNTIME_CLASSES = _cluster("node.k8s.io", "RuntimeClass", "runtimeclasses")
ENDPOINT_SLICES = _namespaced("discovery.k8s.io", "EndpointSlice", "endpointslices")
FLOW_SCHEMAS = _cluster("flowcontrol.apiserver.k8s.io", "FlowSchema", "flowschemas", sub="status")
PRIORITY_LEVEL_CONFIGURATIONS = _cluster(
    "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", "prioritylevelconfigurations", sub="status"
)
DEVICE_CLASSES = _cluster("resource.k8s.io", "DeviceClass", "deviceclasses")
DEVICE_TAINT_RULES = _cluster("resource.k8s.io", "DeviceTaintRule", "devicetaintrules", sub="status")
RESOURCE_CLAIMS = _namespaced("resource.k8s.io", "ResourceClaim", "resourceclaims", sub="status")
RESOURCE_CLAIM_TEMPLATES = _namespaced("resource.k8s.io", "ResourceClaimTemplate", "resourceclaimtemplates")
RESOURCE_SLICES = _cluster("resource.k8s.io", "ResourceSlice", "resourceslices")
STORAGE_VERSION_MIGRATIONS = _cluster(
    "storagemigration.k8s.io", "StorageVersionMigration", "storageversionmigrations", sub="status"
)

BUILTIN: tuple[Resource, ...] = (
    BINDINGS, COMPONENT_STATUSES, CONFIG_MAPS, ENDPOINTS, EVENTS, LIMIT_RANGES, NAMESPACES, NODES,
    PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, POD_TEMPLATES, REPLICATION_CONTROLLERS, RESOURCE_QUOTAS,
    SECRETS, SERVICE_ACCOUNTS, SERVICES, API_SERVICES, CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, REPLICA_SETS,
    STATEFUL_SETS, EVENTS_V1, SELF_SUBJECT_REVIEWS, TOKEN_REVIEWS, LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS, SELF_SUBJECT_RULES_REVIEWS, SUBJECT_ACCESS_REVIEWS, HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1, CRON_JOBS, JOBS, CERTIFICATE_SIGNING_REQUESTS, CLUSTER_TRUST_BUNDLES,
    POD_CERTIFICATE_REQUESTS, IP_ADDRESSES, INGRESS_CLASSES, INGRESSES, NETWORK_POLICIES, SERVICE_CIDRS,
    POD_DISRUPTION_BUDGETS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, CSI_DRIVERS, CSI_NODES,
    CSI_STORAGE_CAPACITIES, STORAGE_CLASSES, VOLUME_ATTACHMENTS, VOLUME_ATTRIBUTES_CLASSES,
    MUTATING_ADMISSION_POLICIES, MUTATING_ADMISSION_POLICY_BINDINGS, MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES, VALIDATING_ADMISSION_POLICY_BINDINGS, VALIDATING_WEBHOOK_CONFIGURATIONS,
    CUSTOM_RESOURCE_DEFINITIONS, PRIORITY_CLASSES, LEASES, RUNTIME_CLASSES, ENDPOINT_SLICES, FLOW_SCHEMAS,
    PRIORITY_LEVEL_CONFIGURATIONS, DEVICE_CLASSES, DEVICE_TAINT_RULES, RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_SLICES, STORAGE_VERSION_MIGRATIONS,
)

_BY_PATH = {(r.group, r.version, r.plural): r for r in BUILTIN}
_BY_KIND = {(r.api_version, r.kind): r for r in BUILTIN}


def find(group: str, version: str, plural: str) -> Resource | None:
    """The built-in resource served at that path, or None."""
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The built-in resource of `apiVersion` and `kind`, or None."""
    return _BY_KIND.get((api_version, kind))
