"""`wherry deploy`: settings, objects, and what the pods say when they do not come up."""

from pathlib import Path

import pytest

from wherry.application.builds import deploy, manifests, settings, waiting
from wherry.application.builds.settings import AppSettings, ClusterAccess
from wherry.kit.errors import Invalid
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.defaulting import apply_defaults
from wherry.orchestration.objects.validation import validate

RESOURCES = {"Deployment": kinds.DEPLOYMENTS, "Service": kinds.SERVICES, "Ingress": kinds.INGRESSES}
FULL = AppSettings(
    "users", namespace="shop", port=9000, replicas=3, host="u.example.org", path="/u", health="/readyz", process="worker",
    env={"B": "2", "A": "1"}, env_from=("secret/database", "configmap/shop"),
)  # fmt: skip


@pytest.mark.parametrize("app", [AppSettings("users"), FULL], ids=["smallest", "everything"])
def test_api_server_accepts_every_object(app: AppSettings) -> None:
    for obj in manifests.manifests(app, "example.test/users@sha256:" + "0" * 64, has_gateway=True):
        resource = RESOURCES[obj["kind"]]
        assert validate(resource, apply_defaults(resource, obj), None) == []


def test_everything_that_was_asked_for_is_in_the_pod() -> None:
    container = manifests.deployment(FULL, "i")["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "PORT", "value": "9000"}, {"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert container["envFrom"] == [{"secretRef": {"name": "database"}}, {"configMapRef": {"name": "shop"}}]
    assert container["command"] == ["/cnb/process/worker"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_without_a_gateway_there_is_no_route() -> None:
    assert [obj["kind"] for obj in manifests.manifests(FULL, "i", has_gateway=False)] == ["Deployment", "Service"]


@pytest.mark.parametrize(("port", "url"), [pytest.param(80, "http://users.localhost/", id="80"), pytest.param(8080, "http://users.localhost:8080/", id="another")])
def test_url_names_the_port_only_when_it_must(port: int, url: str) -> None:
    assert deploy.url(AppSettings("users"), ClusterAccess("r", gateway_port=port)) == url


def test_file_is_under_flags_and_over_defaults(tmp_path: Path) -> None:
    folder = tmp_path / "My_App"
    folder.mkdir()
    (folder / "wherry.toml").write_text('[deploy]\nreplicas = 2\nport = 1\nenv-from = ["secret/x"]\n[deploy.env]\nA = "1"\n')
    app = settings.load(folder, {"port": 7000, "name": None})
    assert (app.name, app.replicas, app.port, app.env_from, app.env) == ("my-app", 2, 7000, ("secret/x",), {"A": "1"})


@pytest.mark.parametrize(("text", "message"), [
    pytest.param("[deploy]\nreplica = 1", "deploy.replica", id="unknown key"),
    pytest.param("[other]", "other", id="unknown table"),
    pytest.param('[deploy]\nname = "Big"', "name 'Big'", id="bad name"),
    pytest.param("[deploy]\nport = 70000", "port 70000", id="bad port"),
    pytest.param('[deploy]\nenv-from = ["x"]', "secret/NAME", id="bad source"),
    pytest.param('[deploy]\npath = "x"', "begin with", id="bad path"),
])  # fmt: skip
def test_wrong_file_is_refused_by_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_text(text)
    with pytest.raises(Invalid, match=message):
        settings.load(tmp_path, {})


@pytest.mark.parametrize(("status", "is_done"), [
    pytest.param({}, False, id="not seen yet"),
    pytest.param({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, False, id="older generation"),
    pytest.param({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}, False, id="an old pod left"),
    pytest.param({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, False, id="one not available"),
    pytest.param({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, True, id="all new and available"),
])  # fmt: skip
def test_rollout_is_complete_when_kubectl_would_say_so(status: dict[str, int], is_done: bool) -> None:
    assert waiting.is_rolled_out({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}) is is_done


def test_pod_that_crashes_says_why() -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [
        {"state": state, "lastState": {"terminated": {"reason": "Error", "exitCode": 82, "message": ""}}},
    ]}}  # fmt: skip
    assert waiting.explain(pod) == ["p: CrashLoopBackOff: back-off", "p: Error (exit code 82)"]
