"""Whatever is stored has the shape of its Go type: what the server writes at its start, what plugins and strategies add.

The pass over a request's body comes before admission, so the plugins must leave what a second pass would: these tests make it.
"""

from copy import deepcopy

from wherry.orchestration.objects.decoding import typed
from wherry.testing.api import TestApi, api_server

NAMESPACE = "/api/v1/namespaces/default"
CONTAINERS = {"containers": [{"name": "main", "image": "x:1"}], "initContainers": [{"name": "first", "image": "y"}]}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "x:1"}]}}
CREATED = [
    ("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "heavy"}, "handler": "h", "overhead": {"podFixed": {"cpu": "250m"}},
     "scheduling": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "t", "operator": "Exists"}]}}),
    ("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "high"}, "value": 10}),
    ("/apis/storage.k8s.io/v1/storageclasses", {"metadata": {"name": "std", "annotations": {
        "storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "example.com/p"}),
    (f"{NAMESPACE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}]}}),
    (f"{NAMESPACE}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "5"}}}),
    (f"{NAMESPACE}/pods", {"metadata": {"name": "plain"}, "spec": CONTAINERS}),
    (f"{NAMESPACE}/pods", {"metadata": {"name": "rich"}, "spec": {
        **CONTAINERS, "runtimeClassName": "heavy", "priorityClassName": "high", "schedulingGates": [{"name": "g/x"}]}}),
    (f"{NAMESPACE}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "type": "LoadBalancer"}}),
    (f"{NAMESPACE}/persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
    ("/apis/batch/v1/namespaces/default/jobs", {"metadata": {"name": "j"}, "spec": {
        "template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}}),
    ("/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}}),
    ("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {"metadata": {"name": "b"}}),
    ("/api/v1/nodes", {"metadata": {"name": "n"}}),
    ("/apis/certificates.k8s.io/v1/certificatesigningrequests", {"metadata": {"name": "r"}, "spec": {
        "request": "", "signerName": "example.com/s", "usages": ["client auth"]}}),
]


def misshapen(api: TestApi) -> list[str]:
    """The objects that another pass would change, and how."""
    found = []
    for served in api.server.table.rows():
        for cached in served.cache.select():
            obj = served.obj(cached)
            shaped = typed(deepcopy(obj), served.node).obj
            if shaped != obj:
                differs = {key: (obj.get(key), shaped.get(key)) for key in {*obj, *shaped} if obj.get(key) != shaped.get(key)}
                found.append(f"{served.resource.kind} {cached.key}: {differs}")
    return found


async def test_what_the_server_writes_at_its_start_has_the_shape_of_its_type() -> None:
    async with api_server() as api:
        assert not misshapen(api)


async def test_what_plugins_and_strategies_add_has_the_shape_of_its_type() -> None:
    async with api_server() as api:
        for path, obj in CREATED:
            status, answer = await api.call("POST", path, obj)
            assert status == 201 or "certificate" in path, answer
        assert not misshapen(api)
