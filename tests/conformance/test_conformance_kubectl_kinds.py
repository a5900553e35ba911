"""Every kind a user makes can be applied, listed, described and deleted; the workloads among them run."""

import json
from typing import Any

import pytest
from conftest import Cluster, Kubectl
from manifests import IMAGE, deployment, dump, pod, service
from test_conformance_kubectl import eventually, no_warning

pytestmark = [pytest.mark.cluster, pytest.mark.node]


def made(api_version: str, kind: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "one"}, **rest}


def workload(kind: str, command: list[str], **spec: Any) -> dict[str, Any]:
    return made("apps/v1", kind, spec={
        "selector": {"matchLabels": {"app": kind}}, **spec,
        "template": {"metadata": {"labels": {"app": kind}}, "spec": {
            "terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": IMAGE, "command": command}]}}})


def job_spec(*command: str) -> dict[str, Any]:
    return {"template": {"spec": {"restartPolicy": "Never", "containers": [
        {"name": "main", "image": IMAGE, "command": list(command)}]}}}


RBAC = "rbac.authorization.k8s.io"
DESCRIBED = [
    pytest.param(made("v1", "ConfigMap", data={"color": "green"}), "color:", id="ConfigMap"),
    pytest.param(made("v1", "Secret", stringData={"color": "green"}), "color:  5 bytes", id="Secret"),
    pytest.param(made("v1", "ResourceQuota", spec={"hard": {"pods": "5"}}), "pods", id="ResourceQuota"),
    pytest.param(made("v1", "LimitRange", spec={"limits": [{"type": "Container", "default": {"memory": "64Mi"}}]}), "64Mi", id="LimitRange"),
    pytest.param(made("v1", "ServiceAccount"), "Image pull secrets:  <none>", id="ServiceAccount"),
    pytest.param(made("v1", "Service", spec={"ports": [{"port": 80}]}), "IP Family Policy:         SingleStack", id="Service"),
    pytest.param(made("v1", "PodTemplate", template={"spec": {"containers": [{"name": "c", "image": "x"}]}}), "Image:", id="PodTemplate"),
    pytest.param(made("v1", "Endpoints", subsets=[{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 1}]}]), "192.0.2.7", id="Endpoints"),
    pytest.param(made("networking.k8s.io/v1", "Ingress", spec={"rules": [{"host": "a.test", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}),
        "web:80", id="Ingress"),
    pytest.param(made("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}, "policyTypes": ["Ingress"]}),
                 "Selected pods are isolated for ingress connectivity", id="NetworkPolicy"),
    pytest.param(made("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}),
                 "Min available:  1", id="PodDisruptionBudget"),
    pytest.param(made("autoscaling/v2", "HorizontalPodAutoscaler", spec={
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3}),
        "Deployment/web", id="HorizontalPodAutoscaler"),
    pytest.param(made(f"{RBAC}/v1", "Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]), "[get]", id="Role"),
    pytest.param(made(f"{RBAC}/v1", "RoleBinding", roleRef={"apiGroup": RBAC, "kind": "Role", "name": "one"},
                      subjects=[{"kind": "User", "apiGroup": RBAC, "name": "joe"}]), "joe", id="RoleBinding"),
    pytest.param(made("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": "me"}), "Holder Identity:  me", id="Lease"),
    pytest.param(made("batch/v1", "CronJob", spec={"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job_spec("date")}}),
                 "0 0 1 1 *", id="CronJob"),
    pytest.param(made("v1", "PersistentVolumeClaim", spec={
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}}), "VolumeMode:    Filesystem", id="PersistentVolumeClaim"),
]


@pytest.mark.parametrize(("manifest", "words"), DESCRIBED)
def test_kind_is_applied_described_and_deleted(run: Kubectl, manifest: dict[str, Any], words: str) -> None:
    text, name = json.dumps(manifest), f"{manifest['kind'].lower()}/one"
    assert f"{name.split('/')[0]}" in run("apply", "-f", "-", stdin=text).stdout
    eventually(lambda: words in run("describe", name).stdout)
    assert "NAME" in run("get", name, "-o", "wide").stdout
    server_side = run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    assert "serverside-applied" in server_side.stdout
    run("delete", name)
    assert "NotFound" in run("get", name, check=False).stderr


def test_workloads_run_and_describe_says_what_happened(kubectl: Kubectl) -> None:
    sleep = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.2; done"]
    no_warning(kubectl("apply", "-f", "-", stdin=dump(
        workload("StatefulSet", sleep, serviceName="one", replicas=2), workload("DaemonSet", sleep),
        made("v1", "Service", spec={"clusterIP": "None", "selector": {"app": "StatefulSet"}, "ports": [{"port": 80}]}),
        made("batch/v1", "Job", spec=job_spec("echo", "done") | {"completions": 2, "parallelism": 2}))))
    kubectl("rollout", "status", "statefulset/one", "--timeout=60s")
    kubectl("rollout", "status", "daemonset/one", "--timeout=60s")
    kubectl("wait", "--for=condition=Complete", "job/one", "--timeout=60s")
    assert "create Pod one-1 in StatefulSet one successful" in kubectl("describe", "statefulset", "one").stdout
    assert "Pods Status:  1 Running" in kubectl("describe", "daemonset", "one").stdout
    assert "2 Succeeded" in kubectl("describe", "job", "one").stdout
    kubectl("rollout", "restart", "statefulset/one", "daemonset/one")
    kubectl("rollout", "status", "statefulset/one", "--timeout=60s")
    kubectl("rollout", "status", "daemonset/one", "--timeout=60s")
    kubectl("rollout", "undo", "daemonset/one")
    assert "3" in kubectl("rollout", "history", "daemonset/one").stdout
    everything = kubectl("get", "all", "-o", "wide").stdout
    assert all(word in everything for word in ("statefulset.apps/one", "daemonset.apps/one", "job.batch/one", "pod/one-0"))


def test_cron_job_makes_a_job_when_asked(run: Kubectl) -> None:
    run("create", "cronjob", "daily", f"--image={IMAGE}", "--schedule=0 0 1 1 *", "--", "echo", "tick")
    run("create", "job", "now", "--from=cronjob/daily")
    run("wait", "--for=condition=Complete", "job/now", "--timeout=60s")
    assert run("logs", "job/now").stdout == "tick\n"
    assert "CronJob/daily" in run("describe", "job", "now").stdout


def test_services_are_found_by_name(kubectl: Kubectl, namespace: str) -> None:
    headless = service("peers", clusterIP="None", selector={"app": "web"})
    kubectl("apply", "-f", "-", stdin=dump(deployment("web"), service("web"), headless, pod("client", ["sleep", "600"])))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    web = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name} {.items[0].status.podIP}").stdout.split()
    fetch = ("exec", "client", "--", "wget", "-qO-")
    for name in ("web", f"web.{namespace}", f"web.{namespace}.svc.cluster.local", "peers:8080"):
        eventually(lambda name=name: kubectl(*fetch, f"http://{name}", check=False).stdout.strip() == web[0])
    assert web[1] in kubectl("exec", "client", "--", "nslookup", f"peers.{namespace}.svc.cluster.local").stdout
    kubectl("expose", "deployment", "web", "--name=shown", "--port=81", "--target-port=8080")
    eventually(lambda: kubectl(*fetch, "http://shown:81", check=False).stdout.strip() == web[0])


def test_claim_keeps_its_data_when_the_pod_goes(run: Kubectl) -> None:
    claim = made("v1", "PersistentVolumeClaim", spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}})
    spec = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "one"}}], "restartPolicy": "Never"}

    def user(name: str, command: str) -> str:
        using = pod(name, ["sh", "-c", command], **spec)
        using["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        return json.dumps(using)

    run("apply", "-f", "-", stdin=json.dumps(claim))
    run("apply", "-f", "-", stdin=user("writer", "echo kept > /data/file"))
    run("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/writer", "--timeout=60s")
    assert "Bound" in run("get", "pvc", "one").stdout and "Used By:       writer" in run("describe", "pvc", "one").stdout
    run("delete", "pod", "writer")
    run("apply", "-f", "-", stdin=user("reader", "cat /data/file"))
    run("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=60s")
    assert run("logs", "reader").stdout == "kept\n"


@pytest.fixture
def widgets(cluster: Cluster, namespace: str) -> Any:
    group = f"{namespace}.example"
    schema = {"type": "object", "properties": {
        "spec": {"type": "object", "description": "what it should be", "properties": {
            "size": {"type": "integer", "minimum": 1}, "replicas": {"type": "integer"}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}}
    crd = made("apiextensions.k8s.io/v1", "CustomResourceDefinition", spec={
        "group": group, "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wi"]},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                      "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                      "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]}]})
    crd["metadata"]["name"] = f"widgets.{group}"
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(crd))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/widgets.{group}", "--timeout=20s")
    yield f"{group}/v1"
    cluster.kubectl("delete", "crd", f"widgets.{group}")


def test_custom_resource_is_a_kind_like_others(kubectl: Kubectl, widgets: str) -> None:
    one = made(widgets, "Widget", spec={"size": 3, "replicas": 1})
    full = f"widgets.{widgets.partition('/')[0]}"
    no_warning(kubectl("apply", "-f", "-", stdin=json.dumps(one)))
    assert kubectl("get", full).stdout.splitlines()[0].split() == ["NAME", "SIZE"]
    assert "what it should be" in kubectl("explain", f"{full}.spec").stdout
    refused = kubectl("apply", "-f", "-", stdin=json.dumps(one | {"spec": {"size": 0}}), check=False).stderr
    assert "spec.size in body should be greater than or equal to 1" in refused
    unknown = kubectl("apply", "-f", "-", stdin=json.dumps(one | {"spec": {"sizes": 1}}), check=False).stderr
    assert 'unknown field "spec.sizes"' in unknown
    kubectl("scale", f"{full}/one", "--replicas=4")
    kubectl("patch", full, "one", "--type=merge", "-p", '{"spec":{"size":9}}')
    assert kubectl("get", full, "one", "-o", "jsonpath={.spec}").stdout in ('{"replicas":4,"size":9}', '{"size":9,"replicas":4}')
    assert "Replicas:  4" in kubectl("describe", full, "one").stdout
    kubectl("delete", full, "one")


def test_generators_of_kubectl_make_valid_objects(kubectl: Kubectl) -> None:
    for args in (
        ("configmap", "a", "--from-literal=a=b"), ("secret", "generic", "a", "--from-literal=a=b"),
        ("secret", "docker-registry", "b", "--docker-server=x.test", "--docker-username=u", "--docker-password=p"),
        ("serviceaccount", "robot"), ("role", "a", "--verb=get", "--resource=pods"), ("quota", "a", "--hard=pods=50"),
        ("rolebinding", "a", "--role=a", "--serviceaccount=default:robot"), ("ingress", "a", "--rule=x.test/*=web:80"),
        ("service", "nodeport", "a", "--tcp=80:8080"), ("service", "externalname", "b", "--external-name=x.test"),
        ("service", "clusterip", "c", "--clusterip=None"), ("poddisruptionbudget", "a", "--selector=a=b", "--min-available=1"),
        ("deployment", "a", f"--image={IMAGE}", "--replicas=0"), ("cronjob", "a", f"--image={IMAGE}", "--schedule=0 0 1 1 *"),
    ):
        no_warning(kubectl("create", *args, "--dry-run=server"))
        no_warning(kubectl("create", *args))
    assert kubectl("create", "token", "robot").stdout.count(".") == 2
    assert kubectl("auth", "can-i", "get", "pods", "--as=system:serviceaccount:default:robot").stdout.strip() == "yes"


def test_labels_annotations_taints_and_cordons_come_and_go(kubectl: Kubectl, cluster: Cluster) -> None:
    node = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").stdout
    kubectl("create", "configmap", "a")
    assert "labeled" in kubectl("label", "configmap", "a", "color=green").stdout
    assert kubectl("get", "configmaps", "-l", "color=green", "-o", "name").stdout == "configmap/a\n"
    assert "already has a value" in kubectl("label", "configmap", "a", "color=red", check=False).stderr
    assert "unlabeled" in kubectl("label", "configmap", "a", "color-").stdout
    assert "annotated" in kubectl("annotate", "configmap", "a", "note=one").stdout
    try:
        assert "tainted" in kubectl("taint", "node", node, "test=yes:PreferNoSchedule").stdout
        assert "cordoned" in kubectl("cordon", node).stdout
        assert "Ready,SchedulingDisabled" in kubectl("get", "node", node).stdout
    finally:
        assert "uncordoned" in kubectl("uncordon", node).stdout
        assert "untainted" in kubectl("taint", "node", node, "test-").stdout


def test_set_changes_the_pod_template(run: Kubectl) -> None:
    run("apply", "-f", "-", stdin=dump(deployment("web")))
    run("wait", "deployment/web", "--for=condition=Available", "--timeout=60s")
    run("set", "env", "deployment/web", "COLOR=green")
    run("set", "resources", "deployment/web", "--limits=memory=80Mi")
    run("set", "image", "deployment/web", "web=wherry.local/other:1", "--dry-run=server")
    assert "patched (no change)" in run("patch", "deployment", "web", "-p", "{}").stdout
    main = json.loads(run("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0]}").stdout)
    assert main["env"] == [{"name": "COLOR", "value": "green"}] and main["image"] == IMAGE
    assert main["resources"]["limits"] == {"memory": "80Mi"}
    run("rollout", "status", "deployment/web", "--timeout=60s")
    run("delete", "deployment", "web", "--now")
    run("wait", "--for=delete", "deployment/web", "--timeout=30s")


def test_replace_refuses_a_stale_object(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "a", "--from-literal=color=green")
    live = json.loads(kubectl("get", "configmap", "a", "-o", "json").stdout)
    live["data"]["color"] = "red"
    assert "replaced" in kubectl("replace", "-f", "-", stdin=json.dumps(live)).stdout
    stale = kubectl("replace", "-f", "-", stdin=json.dumps(live | {"data": {}}), check=False).stderr
    assert "the object has been modified; please apply your changes to the latest version and try again" in stale
    assert "replaced" in kubectl("replace", "--force", "-f", "-", stdin=json.dumps(live)).stdout
