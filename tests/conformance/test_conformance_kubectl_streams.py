"""Terminals, attached sessions, forwarded ports and watches work with both kubectls."""

import json
import subprocess
from typing import TextIO

import pytest
from conftest import Cluster, Kubectl
from manifests import IMAGE, deployment, dump, pod, service
from terminal import COLUMNS, ROWS, talk
from test_conformance_kubectl import eventually

from wherry.testing.ports import free_port

pytestmark = [pytest.mark.cluster, pytest.mark.node]

ECHO = ["sh", "-c", "echo start; while read line; do echo got $line; done"]


def interactive(name: str, command: list[str], **container: bool) -> str:
    made = pod(name, command, restartPolicy="Never")
    made["spec"]["containers"][0] |= {"stdin": True, **container}
    return json.dumps(made)


def until(output: TextIO, words: str) -> str:
    """Read lines up to the one that holds the words. The command ends after its own time limit."""
    lines = []
    for line in output:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"{words!r} did not come in {lines}")


def test_exec_on_a_terminal_has_its_size_and_gives_the_exit_code(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(pod("one", ["sleep", "600"])))
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=60s")
    screen, code = talk(kubectl.argv("exec", "-it", "one", "--", "sh"), [
        ("# ", "stty size; tty; echo e$((1+1))\n"), ("e2", "exit 4\n")])
    assert f"{ROWS} {COLUMNS}" in screen and "/dev/pts/" in screen and code == 4


def test_attach_on_a_terminal_reaches_the_shell(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=interactive("shell", ["sh"], tty=True))
    kubectl("wait", "--for=condition=Ready", "pod/shell", "--timeout=60s")
    screen, code = talk(kubectl.argv("attach", "-it", "shell"), [
        ("command prompt", "\n"), ("# ", "echo e$((1+1))\n"), ("e2", "exit\n")])
    assert "e2" in screen and code == 0


def test_attach_sends_stdin_and_shows_output(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=interactive("reader", ECHO, stdinOnce=True))
    kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=60s")
    assert "got one\ngot two\n" in kubectl("attach", "-i", "reader", stdin="one\ntwo\n").stdout
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=30s")
    assert kubectl("logs", "reader").stdout == "start\ngot one\ngot two\n"


def test_run_attached_gives_output_and_exit_code_and_removes_the_pod(kubectl: Kubectl) -> None:
    once = ("--rm", "-i", f"--image={IMAGE}", "--restart=Never", "--")
    assert "hello" in kubectl("run", "a", *once, "cat", stdin="hello").stdout
    failed = kubectl("run", "b", *once, "sh", "-c", "sleep 0.3; exit 3", check=False)
    assert failed.returncode == 3
    screen, code = talk(kubectl.argv("run", "c", "-t", *once, "sh"), [("prompt", "\n"), ("# ", "echo e$((1+1))\n"), ("e2", "exit\n")])
    assert 'pod "c" deleted' in screen and code == 0
    eventually(lambda: kubectl("get", "pods", "-o", "name").stdout == "")


def test_debug_of_a_node_sees_the_host(run: Kubectl, cluster: Cluster) -> None:
    node = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").stdout
    run("debug", f"node/{node}", f"--image={IMAGE}", "--", "chroot", "/host", "hostname")
    name = run("get", "pods", "-o", "name").stdout.strip()
    run("wait", "--for=jsonpath={.status.phase}=Succeeded", name, "--timeout=60s")
    assert run("logs", name).stdout.strip() == cluster.run("hostname").stdout.strip()


def test_debug_makes_a_copy_of_a_pod(run: Kubectl) -> None:
    run("apply", "-f", "-", stdin=json.dumps(pod("broken", ["false"], restartPolicy="Never")))
    run("debug", "broken", "--copy-to=copy", f"--image={IMAGE}", "--container=probe", "--share-processes", "--", "sh", "-c", "echo copied")
    eventually(lambda: run("logs", "copy", "-c", "probe", check=False).stdout == "copied\n")


def test_port_forward_to_a_service_and_to_a_closed_port(kubectl: Kubectl, cluster: Cluster) -> None:
    kubectl("apply", "-f", "-", stdin=dump(deployment("web"), service("web")))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    name = kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}").stdout
    open_port, closed_port = free_port(), free_port()
    with kubectl.running("port-forward", "svc/web", f"{open_port}:80") as output:
        until(output, "Forwarding from")
        for _ in range(3):
            assert cluster.run("curl", "-sf", f"http://127.0.0.1:{open_port}/").stdout.strip() == name
    with kubectl.running("port-forward", f"pod/{name}", f"{closed_port}:81") as output:
        until(output, "Forwarding from")
        cluster.run("curl", "-s", f"http://127.0.0.1:{closed_port}/", check=False)
        until(output, "connection refused")


def test_proxy_reaches_the_api_and_pods_and_services(run: Kubectl, cluster: Cluster, namespace: str) -> None:
    run("apply", "-f", "-", stdin=dump(deployment("web"), service("web")))
    run("rollout", "status", "deployment/web", "--timeout=60s")
    name = run("get", "pods", "-o", "jsonpath={.items[0].metadata.name}").stdout
    port = free_port()
    with run.running("proxy", f"--port={port}") as output:
        until(output, "Starting to serve")
        for path in ("services/web:http/proxy/?a=b", f"pods/{name}:8080/proxy/"):
            answer = cluster.run("curl", "-sf", f"http://127.0.0.1:{port}/api/v1/namespaces/{namespace}/{path}")
            assert answer.stdout.strip() == name


def test_watches_show_a_pod_from_pending_to_deleted(kubectl: Kubectl) -> None:
    kubectl("run", "first", f"--image={IMAGE}", "--restart=Never", "--", "true")
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/first", "--timeout=60s")
    with (kubectl.running("get", "pods", "--watch", "--output-watch-events") as pods,
          kubectl.running("events", "--watch") as events):
        until(pods, "first")
        until(events, "Started")
        kubectl("run", "w", f"--image={IMAGE}", "--restart=Never", "--", "true")
        kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/w", "--timeout=60s")
        kubectl("delete", "pod", "w")
        seen = until(pods, "DELETED")
        assert "ADDED" in seen and "Pending" in seen and "ContainerCreating" in seen and "Completed" in seen
        until(events, "Started")


def test_logs_of_what_is_not_there_say_so(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps(pod("one", ["sh", "-c", "echo out; sleep 600"])))
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=60s")

    def refused(*args: str) -> str:
        done: subprocess.CompletedProcess[str] = kubectl("logs", *args, check=False)
        assert done.returncode == 1
        return done.stderr.strip()

    assert refused("one", "--previous") == (
        'Error from server (BadRequest): previous terminated container "main" in pod "one" not found')
    assert "container nope is not valid for pod one" in refused("one", "-c", "nope")
    assert 'pods "two" not found' in refused("two")
    assert kubectl("logs", "-l", "app=one", "--prefix").stdout == "[pod/one/main] out\n"
    assert kubectl("logs", "one", "--timestamps").stdout.endswith("Z out\n")
