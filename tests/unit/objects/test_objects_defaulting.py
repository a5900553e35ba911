"""What Kubernetes fills in, per kind."""

import copy

import pytest
import yaml

from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.defaulting import apply_defaults
from wherry.orchestration.objects.defaulting.pods import pull_policy, qos_class
from wherry.orchestration.objects.kinds import BUILTIN, by_kind
from wherry.orchestration.objects.schema_data import structure_of


def defaulted(text):
    obj = yaml.safe_load(text)
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    return apply_defaults(resource, obj)


def test_pod_gets_upstreams_defaults():
    pod = defaulted("""
        apiVersion: v1
        kind: Pod
        metadata: {name: a}
        spec:
          containers:
          - name: c
            image: nginx:1.27
            ports: [{containerPort: 80}]
            resources: {limits: {cpu: 1, memory: 64Mi}, requests: {cpu: 500m}}
            livenessProbe: {httpGet: {port: 80}}
            env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
          volumes:
          - {name: e}
          - {name: s, secret: {secretName: x}}
          - {name: p, projected: {sources: [{serviceAccountToken: {path: t}}]}}
    """)
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert {k: spec[k] for k in spec if k not in ("containers", "volumes")} == {
        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {}, "enableServiceLinks": True,
        "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler",
    }
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["terminationMessagePolicy"] == "File"
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "64Mi"}
    assert container["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
        "successThreshold": 1, "failureThreshold": 3,
    }
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert spec["volumes"] == [
        {"name": "e", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
        {"name": "p", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
    ]
    assert pod["status"] == {"phase": "Pending"}


def test_template_keeps_requests_and_host_ports_unsaid():
    template = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: a}
        spec:
          selector: {matchLabels: {a: b}}
          template:
            metadata: {labels: {a: b}}
            spec:
              hostNetwork: true
              containers: [{name: c, image: x, ports: [{containerPort: 80}], resources: {limits: {cpu: 1}}}]
    """
    spec = defaulted(template)["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert container["resources"] == {"limits": {"cpu": 1}}
    assert "hostPort" not in container["ports"][0]
    assert "enableServiceLinks" not in spec["template"]["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}


def test_zero_replicas_stay_zero():
    obj = defaulted("{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 0}}")
    assert obj["spec"]["replicas"] == 0


@pytest.mark.parametrize(("spec", "expected"), [
    pytest.param("{ports: [{port: 80}]}", {
        "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}]}, id="plain"),
    pytest.param("{type: LoadBalancer, ports: [{port: 80, targetPort: web}]}", {
        "externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}, id="load balancer"),
    pytest.param("{clusterIP: None}", {"clusterIPs": ["None"]}, id="headless"),
    pytest.param("{sessionAffinity: ClientIP}", {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}},
                 id="affinity"),
])
def test_service_defaults(spec, expected):
    obj = defaulted(f"{{apiVersion: v1, kind: Service, spec: {spec}}}")
    assert {key: obj["spec"].get(key) for key in expected} == expected


def test_external_name_service_has_no_families():
    spec = defaulted("{apiVersion: v1, kind: Service, spec: {type: ExternalName, externalName: a.b}}")["spec"]
    assert spec == {"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}


@pytest.mark.parametrize(("text", "path", "value"), [
    pytest.param("{apiVersion: batch/v1, kind: Job}", "spec.completions", 1, id="job runs once"),
    pytest.param("{apiVersion: batch/v1, kind: Job}", "spec.backoffLimit", 6, id="job backoff"),
    pytest.param("{apiVersion: batch/v1, kind: Job, spec: {parallelism: 3}}", "spec.completions", None, id="work queue"),
    pytest.param("{apiVersion: batch/v1, kind: CronJob}", "spec.successfulJobsHistoryLimit", 3, id="cron history"),
    pytest.param("{apiVersion: batch/v1, kind: CronJob}", "spec.jobTemplate.spec.template.spec.dnsPolicy", "ClusterFirst",
                 id="cron template"),
    pytest.param("{apiVersion: apps/v1, kind: StatefulSet}", "spec.podManagementPolicy", "OrderedReady", id="stateful set"),
    pytest.param("{apiVersion: apps/v1, kind: DaemonSet}", "spec.updateStrategy.rollingUpdate.maxUnavailable", 1, id="daemon set"),
    pytest.param("{apiVersion: v1, kind: Secret}", "type", "Opaque", id="secret type"),
    pytest.param("{apiVersion: v1, kind: PersistentVolumeClaim}", "spec.volumeMode", "Filesystem", id="claim mode"),
    pytest.param("{apiVersion: v1, kind: PersistentVolume}", "spec.persistentVolumeReclaimPolicy", "Retain", id="volume"),
    pytest.param("{apiVersion: storage.k8s.io/v1, kind: StorageClass}", "reclaimPolicy", "Delete", id="class reclaim"),
    pytest.param("{apiVersion: storage.k8s.io/v1, kind: StorageClass}", "volumeBindingMode", "Immediate", id="class mode"),
    pytest.param("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {egress: [{}]}}", "spec.policyTypes",
                 ["Ingress", "Egress"], id="policy types"),
    pytest.param("{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler}", "spec.metrics.0.resource.name", "cpu", id="hpa"),
    pytest.param("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, subjects: [{kind: User, name: a}]}",
                 "subjects.0.apiGroup", "rbac.authorization.k8s.io", id="subject group"),
    pytest.param("{apiVersion: v1, kind: Namespace, metadata: {name: a}}", "metadata.labels",
                 {"kubernetes.io/metadata.name": "a"}, id="namespace label"),
    pytest.param("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass}", "preemptionPolicy", "PreemptLowerPriority", id="preempt"),
    pytest.param("{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, webhooks: [{}]}",
                 "webhooks.0.reinvocationPolicy", "Never", id="webhook"),
    pytest.param("{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, spec: {names: {kind: CronTab}}}",
                 "spec.names.listKind", "CronTabList", id="crd names"),
    pytest.param("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, ports: [{port: 1}]}", "ports.0.protocol", "TCP", id="slice"),
])
def test_default_of(text, path, value):
    found = defaulted(text)
    for part in path.split("."):
        found = found[int(part)] if part.isdecimal() else found.get(part)
    assert found == value


@pytest.mark.parametrize("resource", BUILTIN, ids=lambda r: f"{r.kind}.{r.api_version}")
def test_defaults_fit_the_schema_and_applying_twice_changes_nothing(resource):
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "a"}}
    once = apply_defaults(resource, obj)
    node = structure_of(resource.api_version, resource.kind)
    assert node is not None
    fitted = typed(copy.deepcopy(once), node)
    assert fitted.unknown == ()
    assert apply_defaults(resource, copy.deepcopy(once)) == once


@pytest.mark.parametrize(("image", "policy"), [
    ("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1", "IfNotPresent"), ("localhost:5000/nginx", "Always"),
    ("localhost:5000/nginx:1", "IfNotPresent"), ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
])
def test_pull_policy_follows_the_tag(image, policy):
    assert pull_policy(image) == policy


@pytest.mark.parametrize(("resources", "quality"), [
    pytest.param([{}], "BestEffort", id="nothing said"),
    pytest.param([{"requests": {"cpu": "1"}}], "Burstable", id="requests only"),
    pytest.param([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed", id="equal"),
    pytest.param([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable",
                 id="one container without"),
])
def test_quality_of_service_class(resources, quality):
    assert qos_class({"containers": [{"resources": one} for one in resources]}) == quality
