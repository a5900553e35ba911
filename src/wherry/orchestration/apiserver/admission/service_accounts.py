"""ServiceAccount: every pod runs as one, and gets its token, the cluster CA and its namespace mounted.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-token-volume
"""

import asyncio

from wherry.orchestration.apiserver import errors, names
from wherry.orchestration.apiserver.admission.chain import CREATE, POD_PLACE, WRITES, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.admission.pod_references import first_reference
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import SERVICE_ACCOUNTS
from wherry.orchestration.objects.meta import Object, annotations_of
from wherry.orchestration.objects.well_known import MIRROR_POD_ANNOTATION_KEY

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
ROOT_CA = "kube-root-ca.crt"
TOKEN_EXPIRATION_S = 3607  # an hour and a bit: marks tokens the server put there itself
MODE = 0o644
DEFAULT_TRIES = 10  # a new namespace gets its default account a moment later
DEFAULT_RETRY_S = 0.1


class ServiceAccountPlugin(Plugin):
    """See the module docstring."""

    places = frozenset({POD_PLACE})
    operations = WRITES
    subresources = frozenset({"", "ephemeralcontainers"})

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.new
        if request.subresource:
            _mount(pod, pod["spec"].get("ephemeralContainers") or ())
        if request.operation != CREATE or request.subresource:
            return
        if MIRROR_POD_ANNOTATION_KEY in annotations_of(pod):
            self._check_mirror(request, pod)
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(request, name)
        if _wants_token(account, spec):
            _add_volume(spec)
            for containers in (spec.get("initContainers"), spec.get("containers")):
                _mount(pod, containers or ())
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]

    def _check_mirror(self, request: AdmissionRequest, pod: Object) -> None:
        if pod["spec"].get("serviceAccountName"):
            raise errors.forbidden(request.resource, request.name, "a mirror pod may not reference service accounts")
        if first_reference(pod) in ("secrets", "serviceaccounts"):
            raise errors.forbidden(request.resource, request.name,
                                   "a mirror pod may not reference secrets or use ServiceAccountToken volume projections")

    async def _account(self, request: AdmissionRequest, name: str) -> Object:
        tries = DEFAULT_TRIES if name == "default" else 1
        for attempt in range(tries):
            account = self._source.get(SERVICE_ACCOUNTS, request.namespace, name)
            if account is not None:
                return account
            if attempt < tries - 1:
                await asyncio.sleep(DEFAULT_RETRY_S)
        raise errors.forbidden(
            request.resource, request.name,
            f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found')


def _wants_token(account: Object, spec: Object) -> bool:
    wish = spec.get("automountServiceAccountToken")
    if wish is None:
        wish = account.get("automountServiceAccountToken")
    return wish is not False


def _add_volume(spec: Object) -> None:
    volumes = spec.setdefault("volumes", [])
    if any(v.get("name", "").startswith(VOLUME_PREFIX) for v in volumes):
        return
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    if all(_has_mount(container) for container in containers):
        return
    volumes.append({
        "name": f"{VOLUME_PREFIX}{names.suffix()}",
        "projected": {
            "defaultMode": MODE,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_EXPIRATION_S, "path": "token"}},
                {"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {
                    "apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ],
        },
    })


def _mount(pod: Object, containers: list[Object] | tuple[()]) -> None:
    volume = next((v["name"] for v in pod["spec"].get("volumes") or () if v.get("name", "").startswith(VOLUME_PREFIX)), "")
    if not volume:
        return
    for container in containers:
        if not _has_mount(container):
            container.setdefault("volumeMounts", []).append({"name": volume, "readOnly": True, "mountPath": MOUNT_PATH})


def _has_mount(container: Object) -> bool:
    return any(mount.get("mountPath") == MOUNT_PATH for mount in container.get("volumeMounts") or ())
