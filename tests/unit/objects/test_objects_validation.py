"""Objects that may not be stored, and the words they are refused with."""

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.objects.decoding import Malformed, typed
from wherry.orchestration.objects.defaulting import apply_defaults
from wherry.orchestration.objects.kinds import BUILTIN, PODS, by_kind
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.structure import Node, Shape
from wherry.orchestration.objects.validation import Cause, invalid_message, validate
from wherry.orchestration.objects.validation.cron import schedule_wrong

VALID = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {app: web}, annotations: {example.com/Note: x}}
spec:
  initContainers: [{name: init, image: busybox, command: [sh], restartPolicy: Always}]
  containers:
  - name: c
    image: nginx:1
    ports: [{name: http, containerPort: 80}]
    env: [{name: A.B-C, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}, {name: M, valueFrom: {resourceFieldRef: {resource: limits.memory}}}]
    envFrom: [{configMapRef: {name: x}}]
    resources: {limits: {cpu: 1, memory: 1Gi, example.com/gpu: 2}, requests: {cpu: 100m}}
    volumeMounts: [{name: v, mountPath: /v, subPath: a/b}]
    readinessProbe: {tcpSocket: {port: http}, successThreshold: 2}
    lifecycle: {preStop: {sleep: {seconds: 1}}}
    securityContext: {runAsUser: 0, seccompProfile: {type: RuntimeDefault}}
  volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}, {name: t, projected: {sources: [{serviceAccountToken: {path: t}}, {configMap: {name: kube-root-ca.crt}}]}}]
  tolerations: [{operator: Exists}, {key: a, effect: NoExecute, tolerationSeconds: 3}]
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]
  affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, labelSelector: {matchLabels: {app: web}}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: &template {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: nginx}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: default}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: x}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ds, namespace: default}
spec: {selector: {matchLabels: {app: ds}}, template: {metadata: {labels: {app: ds}}, spec: {hostNetwork: true, containers: [{name: c, image: x, ports: [{containerPort: 1, hostPort: 1}]}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: j, namespace: default}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cj, namespace: default}
spec: {schedule: "*/5 1-3 * JAN,feb mon-FRI", timeZone: Europe/Berlin, jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: x}]}}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: NodePort, selector: {app: web}, ports: [{name: a, port: 80, targetPort: http, appProtocol: kubernetes.io/h2c}, {name: b, port: 80, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: v1
kind: Service
metadata: {name: ext, namespace: default}
spec: {type: ExternalName, externalName: example.com.}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: default}
spec: {ingressClassName: wherry, tls: [{hosts: ["*.a.example"], secretName: t}], rules: [{host: "*.a.example", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np, namespace: default}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90}]}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c, namespace: default}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard}
provisioner: wherry.io/local
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:node"}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}, {nonResourceURLs: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:node"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node"}
subjects: [{kind: Group, name: "system:nodes"}, {kind: ServiceAccount, name: a, namespace: b}]
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: default}
data: {.dotfile: YWJj}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt, namespace: default}
data: {ca.crt: x}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: p, namespace: default}
spec: {minAvailable: 50%, selector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: h, namespace: default}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: n, namespace: kube-node-lease}
spec: {holderIdentity: n, leaseDurationSeconds: 40, renewTime: "2026-11-23T06:00:00.000000Z"}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: e, namespace: default}
addressType: IPv4
endpoints: [{addresses: [10.244.0.3], conditions: {ready: true}}]
ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Node
metadata: {name: n}
spec: {podCIDR: 10.244.0.0/24, podCIDRs: [10.244.0.0/24], taints: [{key: a, effect: NoSchedule}]}
---
apiVersion: v1
kind: Event
metadata: {name: web.17, namespace: default}
involvedObject: {kind: Pod, name: web, namespace: default}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: v}
webhooks: [{name: a.b.c, admissionReviewVersions: [v1], sideEffects: None, clientConfig: {service: {name: a, namespace: b}}, rules: [{operations: ["*"], apiGroups: [""], apiVersions: [v1], resources: [pods]}]}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab, shortNames: [ct]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {replicas: {type: integer, minimum: 0}, any: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}}}, status: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec: {group: metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, service: {name: a, namespace: b}}
"""
DOCUMENTS = list(yaml.safe_load_all(VALID))
BY_NAME = {f"{doc['kind']}/{doc['metadata']['name']}": doc for doc in DOCUMENTS}


def stored(obj):
    """Decoded and defaulted, as the API server has it before validation."""
    resource = by_kind(obj["apiVersion"], obj["kind"])
    node = structure_of(obj["apiVersion"], obj["kind"])
    assert resource and node
    fitted = typed(copy.deepcopy(obj), node)
    assert fitted.unknown == ()
    return resource, apply_defaults(resource, fitted.obj)


def causes_of(obj, old=None):
    resource, new = stored(obj)
    return validate(resource, new, None if old is None else stored(old)[1])


def changed(name, path, value):
    """A copy of the valid document with one place set (or removed, for None)."""
    obj = copy.deepcopy(BY_NAME[name])
    *parents, last = path.split("/")
    inner = obj
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    key = int(last) if isinstance(inner, list) else last
    if value is None:
        inner.pop(key)
    else:
        inner[key] = value
    return obj


@pytest.mark.parametrize("name", BY_NAME)
def test_ordinary_objects_are_accepted_and_may_be_written_again(name):
    assert causes_of(BY_NAME[name]) == []
    assert causes_of(BY_NAME[name], old=BY_NAME[name]) == []


LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(("name", "path", "value", "field", "message"), [
    ("Pod/web", "metadata/name", "Web", "metadata.name", 'Invalid value: "Web": a lowercase RFC 1123 subdomain'),
    ("Pod/web", "metadata/namespace", None, "metadata.namespace", "Required value"),
    ("Pod/web", "metadata/name", None, "metadata.name", "Required value: name or generateName is required"),
    ("Pod/web", "metadata/labels", {"a b": "c"}, "metadata.labels", 'Invalid value: "a b": name part must consist of'),
    ("Pod/web", "metadata/annotations", {"a": "x" * 300000}, "metadata.annotations", "Too long: may not be more than 262144 bytes"),
    ("Pod/web", "spec/containers", [], "spec.containers", "Required value"),
    ("Pod/web", "spec/containers/0/name", "A_B", "spec.containers[0].name", f'Invalid value: "A_B": {LABEL_TEXT}'),
    ("Pod/web", "spec/containers/0/name", "init", "spec.containers[0].name", 'Duplicate value: "init"'),
    ("Pod/web", "spec/containers/0/image", None, "spec.containers[0].image", "Required value"),
    ("Pod/web", "spec/containers/0/ports/0/containerPort", 70000, "spec.containers[0].ports[0].containerPort",
     "Invalid value: 70000: must be between 1 and 65535, inclusive"),
    ("Pod/web", "spec/containers/0/resources/requests/cpu", 2, "spec.containers[0].resources.requests",
     'Invalid value: "2": must be less than or equal to cpu limit of 1'),
    ("Pod/web", "spec/containers/0/resources/limits/memory", "-1", "spec.containers[0].resources.limits[memory]",
     'Invalid value: "-1": must be greater than or equal to 0'),
    ("Pod/web", "spec/containers/0/volumeMounts/0/name", "w", "spec.containers[0].volumeMounts[0].name", 'Not found: "w"'),
    ("Pod/web", "spec/containers/0/volumeMounts/0/subPath", "../x", "spec.containers[0].volumeMounts[0].subPath",
     'Invalid value: "../x": must not contain \'..\''),
    ("Pod/web", "spec/containers/0/readinessProbe", {}, "spec.containers[0].readinessProbe",
     "Required value: must specify a handler type"),
    ("Pod/web", "spec/containers/0/imagePullPolicy", "Sometimes", "spec.containers[0].imagePullPolicy",
     'Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"'),
    ("Pod/web", "spec/restartPolicy", "Maybe", "spec.restartPolicy",
     'Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"'),
    ("Pod/web", "spec/volumes/0/secret", {"secretName": "x"}, "spec.volumes[0].secret",
     "Forbidden: may not specify more than 1 volume type"),
    ("Pod/web", "spec/tolerations/0", {"key": "a", "operator": "Is"}, "spec.tolerations[0].operator",
     'Unsupported value: "Is": supported values: "Equal", "Exists"'),
    ("Pod/web", "spec/dnsPolicy", "None", "spec.dnsConfig", "Required value: must provide `dnsConfig` when `dnsPolicy` is None"),
    ("Deployment/web", "spec/selector", None, "spec.selector", "Required value"),
    ("Deployment/web", "spec/selector", {}, "spec.selector", "Invalid value: {}: empty selector is invalid for deployment"),
    ("Deployment/web", "spec/template/metadata/labels", {"app": "x"}, "spec.template.metadata.labels",
     'Invalid value: {"app":"x"}: `selector` does not match template `labels`'),
    ("Deployment/web", "spec/replicas", -1, "spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
    ("Deployment/web", "spec/template/spec/restartPolicy", "Never", "spec.template.spec.restartPolicy",
     'Unsupported value: "Never": supported values: "Always"'),
    ("Deployment/web", "spec/strategy", {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}},
     "spec.strategy.rollingUpdate.maxUnavailable", "Invalid value: 0: may not be 0 when `maxSurge` is 0"),
    ("StatefulSet/db", "spec/volumeClaimTemplates/0/spec/accessModes", [], "spec.volumeClaimTemplates[0].spec.accessModes",
     "Required value: at least 1 access mode is required"),
    ("Job/j", "spec/template/spec/restartPolicy", "Always", "spec.template.spec.restartPolicy",
     'Required value: valid values: "OnFailure", "Never"'),
    ("CronJob/cj", "spec/schedule", "* * *", "spec.schedule", 'Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]'),
    ("CronJob/cj", "spec/timeZone", "Mars/Base", "spec.timeZone", 'Invalid value: "Mars/Base": unknown time zone Mars/Base'),
    ("Service/web", "metadata/name", "1web", "metadata.name", 'Invalid value: "1web": a DNS-1035 label must consist'),
    ("Service/web", "spec/ports", [], "spec.ports", "Required value"),
    ("Service/web", "spec/ports/0/port", 0, "spec.ports[0].port", "Invalid value: 0: must be between 1 and 65535, inclusive"),
    ("Service/web", "spec/ports/1/name", "a", "spec.ports[1].name", 'Duplicate value: "a"'),
    ("Service/web", "spec/type", "Magic", "spec.type",
     'Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'),
    ("Service/web", "spec/clusterIP", "None", "spec.clusterIPs[0]", 'Invalid value: "None": may not be set to \'None\' for NodePort'),
    ("Service/ext", "spec/externalName", None, "spec.externalName", "Required value"),
    ("Ingress/i", "spec/rules/0/http/paths/0/pathType", None, "spec.rules[0].http.paths[0].pathType",
     "Required value: pathType must be specified"),
    ("Ingress/i", "spec/rules/0/http/paths/0/path", "a", "spec.rules[0].http.paths[0].path",
     'Invalid value: "a": must be an absolute path'),
    ("NetworkPolicy/np", "spec/ingress/0/from/0/ipBlock/except/0", "192.168.0.0/16",
     "spec.ingress[0].from[0].ipBlock.except[0]", 'Invalid value: "192.168.0.0/16": must be a strict subset of `cidr`'),
    ("PersistentVolumeClaim/c", "spec/resources", None, "spec.resources[storage]", "Required value"),
    ("PersistentVolume/pv", "spec/hostPath", None, "spec", "Required value: must specify a volume type"),
    ("StorageClass/standard", "provisioner", None, "provisioner", "Required value"),
    ("ClusterRole/system:node", "rules/0/verbs", [], "rules[0].verbs", "Required value: verbs must contain at least one value"),
    ("ClusterRoleBinding/system:node", "roleRef/kind", "Role", "roleRef.kind",
     'Unsupported value: "Role": supported values: "ClusterRole"'),
    ("ConfigMap/kube-root-ca.crt", "data", {"a/b": "c"}, "data[a/b]", 'Invalid value: "a/b": a valid config key must consist of'),
    ("ConfigMap/kube-root-ca.crt", "data", {"a": "x" * 1048577}, "", "Too long: may not be more than 1048576 bytes"),
    ("Secret/s", "type", "kubernetes.io/tls", "data[tls.crt]", "Required value"),
    ("PodDisruptionBudget/p", "spec/maxUnavailable", 1, "spec", "minAvailable and maxUnavailable cannot be both set"),
    ("HorizontalPodAutoscaler/h", "spec/minReplicas", 5, "spec.maxReplicas",
     "Invalid value: 3: must be greater than or equal to `minReplicas`"),
    ("EndpointSlice/e", "endpoints/0/addresses/0", "127.0.0.1", "endpoints[0].addresses[0]",
     'Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'),
    ("Node/n", "spec/taints/0/effect", "Never", "spec.taints[0].effect",
     'Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "PreferNoSchedule"'),
    ("Event/web.17", "involvedObject/namespace", "other", "involvedObject.namespace",
     'Invalid value: "other": does not match event.namespace'),
    ("ValidatingWebhookConfiguration/v", "webhooks/0/sideEffects", "Some", "webhooks[0].sideEffects",
     'Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
    ("CustomResourceDefinition/crontabs.stable.example.com", "spec/group", "other.example.com", "metadata.name",
     'must be spec.names.plural+"."+spec.group'),
    ("CustomResourceDefinition/crontabs.stable.example.com", "spec/versions/0/storage", False, "spec.versions",
     "must have exactly one version marked as storage version"),
    ("CustomResourceDefinition/crontabs.stable.example.com", "spec/versions/0/schema", None,
     "spec.versions[0].schema.openAPIV3Schema", "Required value: schemas are required"),
    ("PriorityClass/high", "value", 2000000000, "value",
     "Forbidden: maximum allowed value of a user defined priority is 1000000000"),
    ("APIService/v1beta1.metrics.k8s.io", "spec/versionPriority", 0, "spec.versionPriority",
     "Invalid value: 0: must be positive and less than 1000"),
])
def test_wrong_objects_are_refused_with_the_field_and_upstreams_text(name, path, value, field, message):
    found = causes_of(changed(name, path, value))
    assert any(cause.field == field and message in cause.message for cause in found), found


@pytest.mark.parametrize(("name", "path", "value", "field", "message"), [
    ("Pod/web", "spec/containers/0/image", "nginx:2", None, None),
    ("Pod/web", "spec/containers/0/command", ["x"], "spec", "Forbidden: pod updates may not change fields other than"),
    ("Pod/web", "spec/tolerations", [{"operator": "Exists"}], "spec.tolerations", "existing toleration can not be modified"),
    ("Pod/web", "metadata/labels", {"a": "b"}, None, None),
    ("Deployment/web", "spec/selector/matchLabels/app", "other", "spec.selector", "field is immutable"),
    ("Deployment/web", "spec/replicas", 5, None, None),
    ("StatefulSet/db", "spec/serviceName", "other", "spec", "Forbidden: updates to statefulset spec for fields other than"),
    ("StatefulSet/db", "spec/template/spec/containers/0/image", "y", None, None),
    ("Job/j", "spec/template/spec/containers/0/image", "y", "spec.template", "field is immutable"),
    ("Service/kubernetes", "spec/clusterIP", "10.96.0.2", "spec.clusterIPs[0]", "may not change once set"),
    ("StorageClass/standard", "provisioner", "b.c/d", "provisioner", "Forbidden: updates to provisioner are forbidden."),
    ("PriorityClass/high", "value", 5, "value", "Forbidden: may not be changed in an update."),
    ("ClusterRoleBinding/system:node", "roleRef/name", "x", "roleRef", "cannot change roleRef"),
    ("PersistentVolumeClaim/c", "spec/volumeName", "pv", None, None),
    ("PersistentVolumeClaim/c", "spec/accessModes", ["ReadWriteMany"], "spec", "Forbidden: spec is immutable after creation"),
    ("Secret/s", "type", "x/y", "type", "field is immutable"),
    ("EndpointSlice/e", "addressType", "IPv6", "addressType", "field is immutable"),
    ("Pod/web", "metadata/name", "other", "metadata.name", "field is immutable"),
])
def test_updates(name, path, value, field, message):
    found = causes_of(changed(name, path, value), old=BY_NAME[name])
    if field is None:
        assert found == []
    else:
        assert any(cause.field == field and message in cause.message for cause in found), found


def test_immutable_config_map_keeps_its_data():
    old = {**BY_NAME["ConfigMap/kube-root-ca.crt"], "immutable": True}
    found = causes_of({**old, "data": {"b": "c"}, "immutable": False}, old=old)
    assert [(c.field, c.message) for c in found] == [
        ("immutable", "Forbidden: field is immutable when `immutable` is set"),
        ("data", "Forbidden: field is immutable when `immutable` is set"),
    ]


def test_claim_may_grow_only_when_bound():
    old = BY_NAME["PersistentVolumeClaim/c"]
    larger = changed("PersistentVolumeClaim/c", "spec/resources/requests/storage", "2Gi")
    assert causes_of(larger, old=old)
    assert causes_of(larger, old={**old, "status": {"phase": "Bound"}}) == []


def test_ephemeral_containers_may_be_added_and_nothing_else():
    resource, old = stored(BY_NAME["Pod/web"])
    new = copy.deepcopy(old)
    new["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox", "targetContainerName": "c"}]
    new = apply_defaults(resource, new)
    assert validate(resource, new, old, subresource="ephemeralcontainers") == []
    worse = copy.deepcopy(new)
    worse["spec"]["containers"][0]["image"] = "other"
    assert [c.field for c in validate(resource, worse, old, subresource="ephemeralcontainers")] == ["spec"]


def test_finalizers_may_not_be_added_while_deleting():
    resource, old = stored(BY_NAME["ConfigMap/kube-root-ca.crt"])
    old["metadata"]["deletionTimestamp"] = "2026-11-23T06:00:00Z"
    new = copy.deepcopy(old)
    new["metadata"]["finalizers"] = ["a.b/c"]
    assert [c.message for c in validate(resource, new, old)] == [
        'Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/c"}'
    ]


def test_status_updates_check_metadata_only():
    resource, old = stored(BY_NAME["Pod/web"])
    broken = copy.deepcopy(old)
    broken["spec"]["containers"] = []
    assert validate(resource, broken, old, subresource="status") == []


def test_message_joins_several_causes_in_brackets():
    one, two = Cause("FieldValueRequired", "spec.a", "Required value"), Cause("FieldValueInvalid", "b", "Invalid value: 1")
    assert invalid_message("Pod", "", "x", [one]) == 'Pod "x" is invalid: spec.a: Required value'
    assert invalid_message("Deployment", "apps", "x", [one, two, one]) == (
        'Deployment.apps "x" is invalid: [spec.a: Required value, b: Invalid value: 1]'
    )


@pytest.mark.parametrize(("schedule", "is_right"), [
    ("* * * * *", True), ("*/15 0-6,22 1 */2 sun", True), ("@daily", True), ("@every 1h30m", True), ("0 0 31 12 6", True),
    ("5/15 * * * *", True), ("? ? ? ? ?", True), ("60 * * * *", False), ("* 24 * * *", False), ("* * 0 * *", False),
    ("* * * 13 *", False), ("* * * * 7", False), ("*/0 * * * *", False), ("5-1 * * * *", False), ("a * * * *", False),
    ("* * * * * *", False), ("@often", False), ("", False), ("1-2-3 * * * *", False), ("1/2/3 * * * *", False),
    ("²  * * * *", False),
])
def test_cron_schedules(schedule, is_right):
    assert (schedule_wrong(schedule) == "") is is_right


def values_for(node: Node, depth: int = 0) -> st.SearchStrategy:
    """Any value of the right type: what a decoder lets through."""
    match node.shape:
        case Shape.OBJECT if depth < 6:
            return st.fixed_dictionaries({}, optional={k: values_for(n, depth + 1) for k, n in node.fields.items()})
        case Shape.LIST if depth < 6:
            assert node.item
            return st.lists(values_for(node.item, depth + 1), max_size=2)
        case Shape.MAP:
            assert node.item
            return st.dictionaries(st.sampled_from(["a", "x/y", "", "A B"]), values_for(node.item, depth + 1), max_size=2)
        case Shape.STRING:
            return st.sampled_from(["", "a", "A B", "..", "/x", "None", "ClusterIP", "1.2.3.4", "50%"])
        case Shape.INTEGER:
            return st.sampled_from([-1, 0, 1, 70000])
        case Shape.BOOLEAN:
            return st.booleans()
        case Shape.INT_OR_STRING:
            return st.sampled_from([-1, 0, 80, "http", "50%"])
        case Shape.QUANTITY:
            return st.sampled_from(["0", "1", "-1", "1Gi"])
    return st.none()


@pytest.mark.parametrize("resource", BUILTIN, ids=lambda r: f"{r.kind}.{r.api_version}")
@pytest.mark.slow
def test_no_decodable_object_breaks_the_validator(resource):
    node = structure_of(resource.api_version, resource.kind)
    assert node is not None
    strategies = [st.just({}), *([values_for(node.fields["spec"])] if "spec" in node.fields else [])]
    for spec in strategies:
        _validate_many(resource, node, spec)


def _validate_many(resource, node, spec):
    from hypothesis import HealthCheck, settings

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(spec, spec)
    def run(first, second):
        made = []
        for one in (first, second):
            obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "a"}, "spec": one}
            try:
                made.append(apply_defaults(resource, typed(copy.deepcopy(obj), node).obj))
            except Malformed:
                return
        validate(resource, made[0])
        validate(resource, made[0], made[1])

    run()


def test_pod_without_spec_is_refused():
    found = validate(PODS, apply_defaults(PODS, {"metadata": {"name": "a", "namespace": "b"}}))
    assert [cause.field for cause in found] == ["spec.containers"]


@pytest.mark.slow
def test_stateful_set_may_mount_its_claim_templates():
    db = changed("StatefulSet/db", "spec/template/spec/containers/0/volumeMounts", [{"name": "data", "mountPath": "/data"}])
    db["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]
    assert causes_of(db) == []
    db["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] = "other"
    assert [c.reason for c in causes_of(db)] == ["FieldValueNotFound"]
