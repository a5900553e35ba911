"""Names that Kubernetes gives a meaning to: labels, annotations, taints, finalizers, types. Only those that several files say.

Each constant has the name it has in upstream's Go, whose package stands above it.
Spec:  https://kubernetes.io/docs/reference/labels-annotations-taints/
"""

# k8s.io/api/core/v1
LABEL_HOSTNAME = "kubernetes.io/hostname"
LABEL_TOPOLOGY_ZONE = "topology.kubernetes.io/zone"
LABEL_OS_STABLE = "kubernetes.io/os"
LABEL_ARCH_STABLE = "kubernetes.io/arch"
LABEL_METADATA_NAME = "kubernetes.io/metadata.name"
IS_HEADLESS_SERVICE = "service.kubernetes.io/headless"  # label of slices and Endpoints
TAINT_NODE_NOT_READY = "node.kubernetes.io/not-ready"
TAINT_NODE_UNREACHABLE = "node.kubernetes.io/unreachable"
TAINT_NODE_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
TAINT_NODE_MEMORY_PRESSURE = "node.kubernetes.io/memory-pressure"
TAINT_NODE_DISK_PRESSURE = "node.kubernetes.io/disk-pressure"
TAINT_NODE_NETWORK_UNAVAILABLE = "node.kubernetes.io/network-unavailable"
TAINT_NODE_PID_PRESSURE = "node.kubernetes.io/pid-pressure"
BETA_STORAGE_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
LAST_APPLIED_CONFIG_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MIRROR_POD_ANNOTATION_KEY = "kubernetes.io/config.mirror"
SECRET_TYPE_SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"
SECRET_TYPE_TLS = "kubernetes.io/tls"

# k8s.io/api/apps/v1, batch/v1, discovery/v1, networking/v1, certificates/v1
STATEFUL_SET_POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
JOB_COMPLETION_INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"  # annotation and label of pods
LABEL_SERVICE_NAME = "kubernetes.io/service-name"
LABEL_SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
ANNOTATION_IS_DEFAULT_INGRESS_CLASS = "ingressclass.kubernetes.io/is-default-class"
ANNOTATION_INGRESS_CLASS = "kubernetes.io/ingress.class"
KUBE_API_SERVER_CLIENT_SIGNER_NAME = "kubernetes.io/kube-apiserver-client"
KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING_SIGNER_NAME = "kubernetes.io/kubelet-serving"

# k8s.io/kubelet/pkg/apis, k8s.io/cluster-bootstrap/token/api, k8s.io/client-go/tools/leaderelection/resourcelock
LABEL_OS = "beta.kubernetes.io/os"
LABEL_ARCH = "beta.kubernetes.io/arch"
SECRET_TYPE_BOOTSTRAP_TOKEN = "bootstrap.kubernetes.io/token"
LEADER_ELECTION_RECORD_ANNOTATION_KEY = "control-plane.alpha.kubernetes.io/leader"

# k8s.io/component-helpers/storage/volume, pkg/volume/util, pkg/apis/storage/util
ANN_BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
NOT_SUPPORTED_PROVISIONER = "kubernetes.io/no-provisioner"
PVC_PROTECTION_FINALIZER = "kubernetes.io/pvc-protection"
PV_PROTECTION_FINALIZER = "kubernetes.io/pv-protection"
IS_DEFAULT_STORAGE_CLASS_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
BETA_IS_DEFAULT_STORAGE_CLASS_ANNOTATION = "storageclass.beta.kubernetes.io/is-default-class"

# k8s.io/kube-aggregator/pkg/controllers/autoregister
AUTO_REGISTER_MANAGED_LABEL = "kube-aggregator.kubernetes.io/automanaged"

# Recommended labels; Go has no constant for them.
LABEL_APP_NAME = "app.kubernetes.io/name"
LABEL_APP_MANAGED_BY = "app.kubernetes.io/managed-by"
