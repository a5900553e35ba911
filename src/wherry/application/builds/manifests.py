"""From an application to the objects that run it: Deployment, Service, Ingress.

In:    the application's settings, its image.
Out:   objects for server-side apply, complete and in the order to apply them. Pure.
"""

from typing import Any

from wherry.application.builds.settings import AppSettings
from wherry.orchestration.objects.kinds import INGRESSES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.well_known import LABEL_APP_MANAGED_BY, LABEL_APP_NAME

MANAGER = "wherry-deploy"
HTTP = "http"
INGRESS_CLASS = "wherry"


def manifests(app: AppSettings, image: str, *, has_gateway: bool) -> list[Object]:
    """The application's objects; without a gateway there is no route."""
    found = [deployment(app, image), service(app)]
    return [*found, ingress(app)] if has_gateway else found


def namespace(app: AppSettings) -> Object:
    """Its namespace, which is made when it is not there."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": app.namespace}}


def deployment(app: AppSettings, image: str) -> Object:
    """Pods that get no request before they can serve, and end what they serve before they go."""
    labels = _labels(app)
    pod = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(app, image)],
    }
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(app),
        "spec": {
            "replicas": app.replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }  # fmt: skip


def service(app: AppSettings) -> Object:
    """Port 80 of the name, to the pods' port."""
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": _metadata(app),
        "spec": {"selector": _labels(app), "ports": [{"name": HTTP, "port": 80, "protocol": "TCP", "targetPort": HTTP}]},
    }  # fmt: skip


def ingress(app: AppSettings) -> Object:
    """The way in from outside."""
    backend = {"service": {"name": app.name, "port": {"name": HTTP}}}
    rule = {"host": app.hostname, "http": {"paths": [{"path": app.path, "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": INGRESSES.api_version, "kind": "Ingress", "metadata": _metadata(app),
        "spec": {"ingressClassName": INGRESS_CLASS, "rules": [rule]},
    }  # fmt: skip


def _container(app: AppSettings, image: str) -> Object:
    action: dict[str, Any] = {"httpGet": {"path": app.health, "port": HTTP}} if app.health else {"tcpSocket": {"port": HTTP}}
    container: Object = {
        "name": app.name, "image": image, "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": HTTP, "containerPort": app.port, "protocol": "TCP"}],
        "env": [{"name": "PORT", "value": str(app.port)}, *({"name": k, "value": str(v)} for k, v in sorted(app.env.items()))],
        "startupProbe": {**action, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {**action, "periodSeconds": 2, "timeoutSeconds": 3},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": app.memory}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    if app.process:
        container["command"] = [f"/cnb/process/{app.process}"]
    if app.env_from:
        container["envFrom"] = [_source(one) for one in app.env_from]
    return container


def _source(text: str) -> Object:
    kind, _, name = text.partition("/")
    return {"secretRef" if kind == "secret" else "configMapRef": {"name": name}}


def _labels(app: AppSettings) -> dict[str, str]:
    return {LABEL_APP_NAME: app.name}


def _metadata(app: AppSettings) -> Object:
    labels = {**_labels(app), LABEL_APP_MANAGED_BY: MANAGER}
    return {"name": app.name, "namespace": app.namespace, "labels": labels}
