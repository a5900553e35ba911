"""A Pod becomes environment, files, cgroup values and security settings as upstream's kubelet makes them."""

import base64
from pathlib import Path
from typing import Any

import pytest
from agent_rig import container, pod
from hypothesis import given
from hypothesis import strategies as st

from wherry.container.runtime.engine import Mount
from wherry.kit.errors import Invalid
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.plan import environment, names, qos, security
from wherry.orchestration.agent.plan.admission import admit
from wherry.orchestration.agent.plan.configs import (
    ContainerInputs,
    container_config,
    mounts,
    port_mappings,
    read_only_volumes,
    sandbox_config,
)
from wherry.orchestration.agent.plan.downward import field_value, formatted, resource_value
from wherry.orchestration.agent.plan.expansion import expand
from wherry.orchestration.agent.references.objects import PodReferences
from wherry.orchestration.objects.placement import matches_node
from wherry.testing.fake_engine import image_named

SETTINGS = AgentSettings("node-1", "192.0.2.1", Path("/data"), Path("/logs"))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        pytest.param("$(A)-$(B)", "1-2", id="known names"),
        pytest.param("$(NO)", "$(NO)", id="an unknown name stays"),
        pytest.param("$$(A)", "$(A)", id="two dollars escape"),
        pytest.param("$$$(A)", "$1", id="an escape before a name"),
        pytest.param("$(A", "$(A", id="an open bracket"),
        pytest.param("a$", "a$", id="a dollar at the end"),
        pytest.param("$A", "$A", id="shell style is not expanded"),
    ],
)
def test_expansion(text: str, result: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}.get) == result


@given(st.text())
@pytest.mark.slow
def test_expansion_without_dollar_changes_nothing(text: str) -> None:
    assert expand(text.replace("$", ""), {}.get) == text.replace("$", "")


def service(called: str, namespace: str = "default", ip: str = "10.96.0.9", **port: Any) -> dict[str, Any]:
    ports = [{"port": 80, "protocol": "TCP", **port}]
    return {"metadata": {"name": called, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports}}


def test_service_variables_are_those_of_docker_links() -> None:
    found = environment.service_variables([service("my-db", name="sql")], "default", links=True)
    assert found == {
        "MY_DB_SERVICE_HOST": "10.96.0.9",
        "MY_DB_SERVICE_PORT": "80",
        "MY_DB_SERVICE_PORT_SQL": "80",
        "MY_DB_PORT": "tcp://10.96.0.9:80",
        "MY_DB_PORT_80_TCP": "tcp://10.96.0.9:80",
        "MY_DB_PORT_80_TCP_PROTO": "tcp",
        "MY_DB_PORT_80_TCP_PORT": "80",
        "MY_DB_PORT_80_TCP_ADDR": "10.96.0.9",
    }


def test_only_the_api_service_without_links() -> None:
    services = [service("db"), service("kubernetes", ip="10.96.0.1"), service("none", ip="None")]
    assert set(environment.service_variables(services, "default", links=False)) >= {"KUBERNETES_SERVICE_HOST"}
    assert "DB_SERVICE_HOST" not in environment.service_variables(services, "default", links=False)
    assert "NONE_SERVICE_HOST" not in environment.service_variables(services, "default", links=True)
    assert "KUBERNETES_SERVICE_HOST" in environment.service_variables(services, "other", links=True)


def build(fields: dict[str, Any], references: PodReferences | None = None) -> dict[str, str]:
    body = container(**fields)
    found = environment.build(
        pod("web", body), body, references or PodReferences(), services=(), allocatable={"cpu": "4", "memory": "8Gi"}
    )
    return found.variables


def test_env_overrides_env_from_and_expands_it() -> None:
    references = PodReferences(config_maps={"c": {"data": {"A": "1", "B": "2", "x=y": "3"}}})
    fields = {"envFrom": [{"configMapRef": {"name": "c"}, "prefix": "P_"}], "env": [{"name": "P_A", "value": "$(P_B)!"}]}
    assert build(fields, references) == {"P_A": "2!", "P_B": "2"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param({"configMapKeyRef": {"name": "c", "key": "no"}}, "couldn't find key no in ConfigMap default/c", id="key"),
        pytest.param({"configMapKeyRef": {"name": "no", "key": "a"}}, 'configmap "no" not found', id="map"),
        pytest.param({"secretKeyRef": {"name": "no", "key": "a"}}, 'secret "no" not found', id="secret"),
        pytest.param({"fieldRef": {"fieldPath": "spec.no"}}, "unsupported fieldPath: spec.no", id="field"),
    ],
)
def test_missing_source_is_an_error_with_upstreams_text(source: dict[str, Any], text: str) -> None:
    references = PodReferences(config_maps={"c": {"data": {}}})
    with pytest.raises(Invalid, match=text):
        build({"env": [{"name": "A", "valueFrom": source}]}, references)


def test_optional_sources_leave_the_variable_out() -> None:
    reference = {"configMapKeyRef": {"name": "no", "key": "a", "optional": True}}
    assert build({"env": [{"name": "A", "valueFrom": reference}]}) == {}


def test_secret_values_are_decoded() -> None:
    secret = {"data": {"k": base64.b64encode(b"pw").decode()}}
    fields = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    assert build(fields, PodReferences(secrets={"s": secret})) == {"A": "pw"}


def test_downward_fields() -> None:
    subject = pod("web", annotations={"a/b": 'x"y\n'})
    subject["status"] = {"podIP": "10.244.0.3", "podIPs": [{"ip": "10.244.0.3"}], "hostIP": "192.0.2.1"}
    assert field_value(subject, "metadata.annotations['a/b']") == 'x"y\n'
    assert field_value(subject, "metadata.labels") == 'app="web"'
    assert field_value(subject, "status.podIPs") == "10.244.0.3"
    assert formatted({"b": "1", "a": 'x"y\n'}) == 'a="x\\"y\\n"\nb="1"'


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        pytest.param("limits.cpu", "1", "2", id="cores round up"),
        pytest.param("limits.cpu", "1m", "1250", id="millicores"),
        pytest.param("requests.memory", "1Mi", "33", id="mebibytes round up"),
        pytest.param("limits.memory", "1", str(8 << 30), id="a missing limit is what the node has"),
        pytest.param("requests.ephemeral-storage", "1", "0", id="a missing request is nothing"),
    ],
)
def test_resource_fields(resource: str, divisor: str, value: str) -> None:
    body = container(resources={"limits": {"cpu": "1250m"}, "requests": {"memory": "32.5Mi"}})
    selector = {"resource": resource, "divisor": divisor}
    allocatable = {"cpu": "4", "memory": "8Gi"}
    assert resource_value(pod("web", body), selector, container="app", allocatable=allocatable) == value


def resources(cpu: str = "", memory: str = "") -> dict[str, str]:
    return {key: text for key, text in (("cpu", cpu), ("memory", memory)) if text}


@pytest.mark.parametrize(
    ("body", "tier", "score"),
    [
        pytest.param({}, "BestEffort", 1000, id="nothing asked"),
        pytest.param({"limits": resources("1", "1Gi")}, "Guaranteed", -997, id="limits alone are requests too"),
        pytest.param({"requests": resources("1", "2Gi")}, "Burstable", 750, id="a quarter of the memory"),
        pytest.param({"requests": resources("1", "1Mi")}, "Burstable", 999, id="never as bad as best effort"),
        pytest.param({"limits": resources("1")}, "Burstable", 999, id="memory missing"),
    ],
)
def test_quality_of_service(body: dict[str, Any], tier: str, score: int) -> None:
    subject = pod("web", container(resources=body))
    assert qos.qos_class(subject) == tier
    found = qos.oom_score_adj(subject, subject["spec"]["containers"][0], memory_capacity_bytes=8 << 30)
    assert found == score


def test_cgroup_values() -> None:
    body = container(resources={"requests": {"cpu": "100m"}, "limits": {"cpu": "250m", "memory": "64Mi"}})
    subject = pod("web", body)
    subject["metadata"]["uid"] = "u1"
    found = qos.container_resources(subject, body, memory_capacity_bytes=8 << 30)
    assert (found.cpu_shares, found.cpu_quota_us, found.memory_limit_bytes) == (102, 25_000, 64 << 20)
    assert qos.cgroup_parent(subject, "kubepods") == "kubepods/burstable/podu1"
    both = pod("web", body, container("other"))
    assert qos.pod_resources(both, pids_max=0).memory_limit_bytes is None, "one container without a limit frees the pod"


def test_pod_requests_count_sidecars_and_the_largest_init_step() -> None:
    def sized(name: str, cpu: str, **fields: Any) -> dict[str, Any]:
        return container(name, resources={"requests": {"cpu": cpu}}, **fields)

    init = [sized("a", "2"), sized("s", "500m", restartPolicy="Always"), sized("b", "3")]
    subject = pod("web", sized("app", "1"), initContainers=init, overhead={"cpu": "100m"})
    assert qos.pod_requests(subject, "cpu") == 3600


@pytest.mark.parametrize(
    ("context", "user", "text"),
    [
        pytest.param({"runAsNonRoot": True}, "", "container has runAsNonRoot and image will run as root", id="root image"),
        pytest.param({"runAsNonRoot": True}, "app", "non-numeric user \\(app\\), cannot verify", id="named user"),
        pytest.param({"runAsNonRoot": True, "runAsUser": 0}, "7", "runAsUser breaks non-root policy", id="asks for root"),
    ],
)
def test_run_as_non_root_is_kept(context: dict[str, Any], user: str, text: str) -> None:
    body = container(securityContext=context)
    with pytest.raises(Invalid, match=text):
        security.verify_non_root(pod("web", body), body, image_named("i", user=user))


def test_container_security_context_beats_the_pods() -> None:
    body = container(
        securityContext={"runAsUser": 5, "capabilities": {"add": ["CAP_NET_ADMIN"], "drop": ["ALL"]},
                         "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    )  # fmt: skip
    subject = pod("web", body, securityContext={"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]})
    found = security.container_security(
        subject, body, image_named("i"), seccomp_default="runtime/default", seccomp_dir=Path("/s")
    )
    assert (found.user_id, found.group_id, found.supplemental_groups) == (5, 2, (4, 3))
    assert found.add_capabilities == ("NET_ADMIN",)
    assert found.no_new_privileges and found.read_only_root and found.seccomp == "runtime/default"


def test_unsafe_sysctl_is_forbidden() -> None:
    subject = pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})
    found = admit(subject, node={}, others=(), allocatable={})
    assert found is not None
    assert (found.reason, found.message) == ("SysctlForbidden", 'forbidden sysctl: "kernel.msgmax" not allowlisted')
    assert admit(subject, node={}, others=(), allocatable={}, allowed_unsafe_sysctls=("kernel.msg*",)) is None


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        pytest.param({"key": "zone", "operator": "In", "values": ["a"]}, True, id="in"),
        pytest.param({"key": "zone", "operator": "NotIn", "values": ["a"]}, False, id="not in"),
        pytest.param({"key": "cores", "operator": "Gt", "values": ["3"]}, True, id="greater"),
        pytest.param({"key": "no", "operator": "Lt", "values": ["3"]}, False, id="less of nothing"),
        pytest.param({"key": "no", "operator": "DoesNotExist"}, True, id="absent"),
    ],
)
def test_node_affinity(expression: dict[str, Any], matches: bool) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    node = {"metadata": {"name": "n", "labels": {"zone": "a", "cores": "4"}}}
    assert matches_node(pod(affinity=affinity), node) is matches


def test_host_port_of_another_pod_conflicts() -> None:
    one = pod("one", container(ports=[{"containerPort": 80, "hostPort": 8080}]))
    two = pod("two", container(ports=[{"containerPort": 81, "hostPort": 8080, "hostIP": "127.0.0.1"}]))
    one["metadata"]["uid"], two["metadata"]["uid"] = "1", "2"
    found = admit(two, node={}, others=[one, two], allocatable={})
    assert found is not None and found.reason == "NodePorts"
    assert port_mappings(one)[0].host_port == 8080


HOST = names.parse_resolv_conf("# c\nnameserver 1.1.1.1\nsearch corp.example\noptions timeout:2\n")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param(
            {},
            "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
            "nameserver 10.96.0.10\noptions ndots:5\n",
            id="cluster first",
        ),
        pytest.param(
            {"hostNetwork": True}, "search corp.example\nnameserver 1.1.1.1\noptions timeout:2\n", id="host network"
        ),
        pytest.param(
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "options": [{"name": "ndots", "value": "2"}]}},
            "nameserver 9.9.9.9\noptions ndots:2\n",
            id="only its own",
        ),
    ],
)
def test_resolv_conf(spec: dict[str, Any], text: str) -> None:
    assert names.resolv_conf(pod(**spec), HOST, cluster_dns=("10.96.0.10",), domain="cluster.local").text() == text


def test_hosts_file_names_the_pod_and_its_aliases() -> None:
    subject = pod(subdomain="sub", hostname="me", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}])
    text = names.hosts_file(subject, address="10.244.0.3", domain="cluster.local")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.244.0.3\tme.sub.default.svc.cluster.local\tme\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")


def test_host_name_is_cut_at_63_characters() -> None:
    assert names.hostname(pod("a" * 62 + "-b")) == "a" * 62


def test_too_long_fqdn_is_refused() -> None:
    subject = pod("a" * 50, subdomain="b" * 50, setHostnameAsFQDN=True)
    subject["metadata"]["uid"] = "u"
    with pytest.raises(Invalid, match="is too long"):
        sandbox_config(subject, 0, SETTINGS)


def inputs(*sources: str) -> ContainerInputs:
    return ContainerInputs(image_named("i"), {"A": "x"}, sources, "/p/hosts", "/p/resolv", "/p/hostname", "/p/t", 1 << 30)


def test_managed_files_give_way_to_a_volume_mount() -> None:
    body = container(volumeMounts=[{"name": "v", "mountPath": "/etc/hosts"}, {"name": "v", "mountPath": "/data/x"}])
    found = mounts(body, inputs("/v/hosts", "/v"))
    assert Mount("/v/hosts", "/etc/hosts") in found
    assert not any(mount.source == "/p/hosts" for mount in found)
    assert Mount("/p/t", "/dev/termination-log") in found


def test_container_config_expands_command_and_names_its_log() -> None:
    body = container("app", "run", "$(A)")
    subject = pod("web", body)
    subject["metadata"]["uid"] = "u"
    found = container_config(subject, body, inputs(), attempt=2, sandbox="s", settings=SETTINGS)
    assert found.command == ("run", "x")
    assert found.log_path == "/logs/default_web_u/app/2.log"


def test_generated_volumes_are_never_writable() -> None:
    volumes = [{"name": "c", "configMap": {}}, {"name": "e", "emptyDir": {}}, {"name": "i", "image": {}},
               {"name": "p", "persistentVolumeClaim": {"claimName": "x", "readOnly": True}}]  # fmt: skip
    assert read_only_volumes(pod(volumes=volumes)) == {"c", "i", "p"}
