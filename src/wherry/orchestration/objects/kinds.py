"""Every built-in resource this API server serves, one constant a resource, in the order discovery lists their groups.

Out:   `BUILTIN` and the constants (plural of the kind, upper snake case); `find` and `by_kind` look rows up.
Spec:  Kubernetes 1.37 discovery, stable versions (`kubectl api-resources`). A test checks it against the upstream schema.
Cost:  a literal table, no file is read.
Never: holds custom resources or aggregated APIs; the API server keeps those at run time.
"""

from wherry.orchestration.objects.resources import Resource

NO_COLLECTION = ("create", "delete", "get", "list", "patch", "update", "watch")
READ_ONLY = ("get", "list")
CREATE_ONLY = ("create",)

BINDINGS = Resource("", "v1", "Binding", "bindings", "binding", True, verbs=CREATE_ONLY)
COMPONENT_STATUSES = Resource(
    "", "v1", "ComponentStatus", "componentstatuses", "componentstatus", False,
    short_names=("cs",), verbs=READ_ONLY,
)
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", "configmap", True, short_names=("cm",))
ENDPOINTS = Resource("", "v1", "Endpoints", "endpoints", "endpoints", True, short_names=("ep",))
EVENTS = Resource("", "v1", "Event", "events", "event", True, short_names=("ev",))
LIMIT_RANGES = Resource("", "v1", "LimitRange", "limitranges", "limitrange", True, short_names=("limits",))
NAMESPACES = Resource(
    "", "v1", "Namespace", "namespaces", "namespace", False,
    short_names=("ns",), subresources=("finalize", "status"), verbs=NO_COLLECTION,
)
NODES = Resource("", "v1", "Node", "nodes", "node", False, short_names=("no",), subresources=("proxy", "status"))
PERSISTENT_VOLUME_CLAIMS = Resource(
    "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim", True,
    short_names=("pvc",), subresources=("status",),
)
PERSISTENT_VOLUMES = Resource(
    "", "v1", "PersistentVolume", "persistentvolumes", "persistentvolume", False,
    short_names=("pv",), subresources=("status",),
)
PODS = Resource(
    "", "v1", "Pod", "pods", "pod", True,
    short_names=("po",),
    categories=("all",),
    subresources=(
        "attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize", "status"
    ),
)
POD_TEMPLATES = Resource("", "v1", "PodTemplate", "podtemplates", "podtemplate", True)
REPLICATION_CONTROLLERS = Resource(
    "", "v1", "ReplicationController", "replicationcontrollers", "replicationcontroller", True,
    short_names=("rc",), categories=("all",), subresources=("scale", "status"),
)
RESOURCE_QUOTAS = Resource(
    "", "v1", "ResourceQuota", "resourcequotas", "resourcequota", True,
    short_names=("quota",), subresources=("status",),
)
SECRETS = Resource("", "v1", "Secret", "secrets", "secret", True)
SERVICE_ACCOUNTS = Resource(
    "", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount", True,
    short_names=("sa",), subresources=("token",),
)
SERVICES = Resource(
    "", "v1", "Service", "services", "service", True,
    short_names=("svc",), categories=("all",), subresources=("proxy", "status"),
)
API_SERVICES = Resource(
    "apiregistration.k8s.io", "v1", "APIService", "apiservices", "apiservice", False,
    categories=("api-extensions",), subresources=("status",),
)
CONTROLLER_REVISIONS = Resource("apps", "v1", "ControllerRevision", "controllerrevisions", "controllerrevision", True)
DAEMON_SETS = Resource(
    "apps", "v1", "DaemonSet", "daemonsets", "daemonset", True,
    short_names=("ds",), categories=("all",), subresources=("status",),
)
DEPLOYMENTS = Resource(
    "apps", "v1", "Deployment", "deployments", "deployment", True,
    short_names=("deploy",), categories=("all",), subresources=("scale", "status"),
)
REPLICA_SETS = Resource(
    "apps", "v1", "ReplicaSet", "replicasets", "replicaset", True,
    short_names=("rs",), categories=("all",), subresources=("scale", "status"),
)
STATEFUL_SETS = Resource(
    "apps", "v1", "StatefulSet", "statefulsets", "statefulset", True,
    short_names=("sts",), categories=("all",), subresources=("scale", "status"),
)
EVENTS_V1 = Resource("events.k8s.io", "v1", "Event", "events", "event", True, short_names=("ev",))
SELF_SUBJECT_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview", False,
    verbs=CREATE_ONLY,
)
TOKEN_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "TokenReview", "tokenreviews", "tokenreview", False,
    verbs=CREATE_ONLY,
)
LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview", True,
    verbs=CREATE_ONLY,
)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview", False,
    verbs=CREATE_ONLY,
)
SELF_SUBJECT_RULES_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview", False,
    verbs=CREATE_ONLY,
)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview", False,
    verbs=CREATE_ONLY,
)
HORIZONTAL_POD_AUTOSCALERS = Resource(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", True,
    short_names=("hpa",), categories=("all",), subresources=("status",),
)
HORIZONTAL_POD_AUTOSCALERS_V1 = Resource(
    "autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", True,
    short_names=("hpa",), categories=("all",), subresources=("status",),
)
CRON_JOBS = Resource(
    "batch", "v1", "CronJob", "cronjobs", "cronjob", True,
    short_names=("cj",), categories=("all",), subresources=("status",),
)
JOBS = Resource("batch", "v1", "Job", "jobs", "job", True, categories=("all",), subresources=("status",))
CERTIFICATE_SIGNING_REQUESTS = Resource(
    "certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", "certificatesigningrequest", False,
    short_names=("csr",),
    subresources=("approval", "status"),
)
CLUSTER_TRUST_BUNDLES = Resource(
    "certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles", "clustertrustbundle", False,
    ,
)
POD_CERTIFICATE_REQUESTS = Resource(
    "certificates.k8s.io", "v1", "PodCertificateRequest", "podcertificaterequests", "podcertificaterequest", True,
    subresources=("status",),
)
IP_ADDRESSES = Resource("networking.k8s.io", "v1", "IPAddress", "ipaddresses", "ipaddress", False, short_names=("ip",))
INGRESS_CLASSES = Resource("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "ingressclass", False)
INGRESSES = Resource(
    "networking.k8s.io", "v1", "Ingress", "ingresses", "ingress", True,
    short_names=("ing",), subresources=("status",),
)
NETWORK_POLICIES = Resource(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "networkpolicy", True,
    short_names=("netpol",),
)
SERVICE_CIDRS = Resource(
    "networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", "servicecidr", False,
    subresources=("status",),
)
POD_DISRUPTION_BUDGETS = Resource(
    "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget", True,
    short_names=("pdb",), subresources=("status",),
)
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", False,
    ,
)
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "clusterrole", False)
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "rolebinding", True)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles", "role", True)
CSI_DRIVERS = Resource("storage.k8s.io", "v1", "CSIDriver", "csidrivers", "csidriver", False)
CSI_NODES = Resource("storage.k8s.io", "v1", "CSINode", "csinodes", "csinode", False)
CSI_STORAGE_CAPACITIES = Resource(
    "storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", "csistoragecapacity", True,
    ,
)
STORAGE_CLASSES = Resource(
    "storage.k8s.io", "v1", "StorageClass", "storageclasses", "storageclass", False,
    short_names=("sc",),
)
VOLUME_ATTACHMENTS = Resource(
    "storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", "volumeattachment", False,
    subresources=("status",),
)
VOLUME_ATTRIBUTES_CLASSES = Resource(
    "storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", "volumeattributesclass", False,
    short_names=("vac",),
)
MUTATING_ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", "mutatingadmissionpolicy", False,
    categories=("api-extensions",),
)
MUTATING_ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding", False,
    categories=("api-extensions",),
)
MUTATING_WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration", False,
    categories=("api-extensions",),
)
VALIDATING_ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "validatingadmissionpolicy", False,
    categories=("api-extensions",),
    subresources=("status",),
)
VALIDATING_ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding", False,
    categories=("api-extensions",),
)
VALIDATING_WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "validatingwebhookconfiguration", False,
    categories=("api-extensions",),
)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "customresourcedefinition", False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
)
PRIORITY_CLASSES = Resource(
    "scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "priorityclass", False,
    short_names=("pc",),
)
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases", "lease", True)
RUNTIME_CLASSES = Resource("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "runtimeclass", False)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice", True)
FLOW_SCHEMAS = Resource(
    "flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", "flowschema", False,
    subresources=("status",),
)
PRIORITY_LEVEL_CONFIGURATIONS = Resource(
    "flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", "prioritylevelconfiguration", False,
    subresources=("status",),
)
DEVICE_CLASSES = Resource("resource.k8s.io", "v1", "DeviceClass", "deviceclasses", "deviceclass", False)
DEVICE_TAINT_RULES = Resource(
    "resource.k8s.io", "v1", "DeviceTaintRule", "devicetaintrules", "devicetaintrule", False,
    subresources=("status",),
)
RESOURCE_CLAIMS = Resource(
    "resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", "resourceclaim", True,
    subresources=("status",),
)
RESOURCE_CLAIM_TEMPLATES = Resource(
    "resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", "resourceclaimtemplate", True,
    ,
)
RESOURCE_SLICES = Resource("resource.k8s.io", "v1", "ResourceSlice", "resourceslices", "resourceslice", False)
STORAGE_VERSION_MIGRATIONS = Resource(
    "storagemigration.k8s.io", "v1", "StorageVersionMigration", "storageversionmigrations", "storageversionmigration", False,
    subresources=("status",),
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
