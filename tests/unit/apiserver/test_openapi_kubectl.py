"""Real kubectl reads our documents: explain, and validation on its side from the protobuf form."""

import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver.discovery import Discovery
from wherry.orchestration.apiserver.openapi import CustomSchema, Documents, answer
from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.resources import Resource

KUBECTL = Path(__file__).parents[3] / ".cache" / "clients" / "kubectl"
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not KUBECTL.exists(), reason=f"no {KUBECTL}: run tools/get_clients.py"),
]
CRON_TAB = Resource("stable.example.com", "v1", "CronTab", "crontabs", "crontab", True, ("ct",))
SCHEMA = {"type": "object", "description": "A cron table.", "properties": {"spec": {
    "type": "object", "description": "Wanted.", "required": ["cron"],
    "properties": {"cron": {"type": "string", "description": "When."}, "free": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}}}
GOOD = """
{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {name: a}, spec: {cron: x, free: {any: [1]}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: x, resources: {limits: {cpu: 1}}}]}}
"""
BAD = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, portz: 1, ports: [{containerPort: x}]}]}}"
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


class Server(http.server.ThreadingHTTPServer):
    documents = Documents()
    discovery = Discovery([*BUILTIN, CRON_TAB])
    has_version_three = True


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = self.found(self.path.partition("?")[0], self.headers.get("accept", "")) or Response(404, [], b"{}")
        assert isinstance(found.body, bytes)
        self.send_response(found.status)
        for name, value in [*found.headers, ("content-length", str(len(found.body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(found.body)

    def found(self, path: str, accept: str) -> Response | None:
        if not path.startswith("/openapi"):
            return self.server.discovery.answer(path, accept)
        if self.server.has_version_three:
            return answer(self.server.documents, path, accept=accept)
        found = answer(self.server.documents, path, accept=accept) if path == "/openapi/v2" else None
        if found is not None and isinstance(found.body, bytes):
            # Without this parameter kubectl takes the server for one that cannot validate, and does it itself.
            found.body = found.body.replace(b"fieldValidation", b"fieldValidatiox")
        return found

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.documents.set_custom([CustomSchema(CRON_TAB, SCHEMA)])
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join(10)


@pytest.fixture
def kubectl(server: Server, tmp_path: Path) -> Kubectl:
    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(KUBECTL), f"--server=http://127.0.0.1:{server.server_port}", f"--cache-dir={tmp_path}", *arguments]
        return subprocess.run(command, input=text, text=True, capture_output=True, timeout=60, check=False)

    return run


@pytest.mark.parametrize(("what", "lines"), [
    ("pods.spec.containers.resources", ["FIELD: resources <ResourceRequirements>", "limits\t<map[string]Quantity>"]),
    ("deployments.spec.strategy.rollingUpdate", ["maxSurge\t<IntOrString>"]),
    ("crontabs.spec", ["GROUP:      stable.example.com", "Wanted.", "cron\t<string> -required-"]),
    ("crontabs", ["A cron table.", "metadata\t<ObjectMeta>"]),
])
def test_explain_shows_fields_and_types(kubectl, what, lines):
    found = kubectl("explain", what)
    assert found.returncode == 0, found.stderr
    assert [line for line in lines if line not in found.stdout] == []


def test_explain_recurses_through_the_largest_kinds(kubectl):
    for kind in ("pods", "customresourcedefinitions", "persistentvolumes"):
        found = kubectl("explain", kind, "--recursive")
        assert found.returncode == 0, found.stderr


def test_client_side_validation_reads_the_protobuf_document(kubectl, server):
    server.has_version_three = False
    good = kubectl("create", "--dry-run=client", "-f", "-", text=GOOD)
    assert good.returncode == 0, good.stderr
    bad = kubectl("create", "--dry-run=client", "-f", "-", text=BAD)
    assert 'unknown field "portz" in io.k8s.api.core.v1.Container' in bad.stderr
    assert 'got "string", expected "integer"' in bad.stderr
