"""What of a cluster is not well, and why, in sentences for `wherry up` and `wherry status`.

In:    Node and Pod objects; the cluster's settings and content folder.
Out:   reasons; "" and () mean well. The words are those of the objects (`ErrImagePull`, `NotReady`, ...).
Never: asks the API server; `daemon.get` does.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wherry.application.gateway.model.settings import GatewaySettings
from wherry.assembly import supervisor
from wherry.assembly.components import processes
from wherry.assembly.images import open_images
from wherry.assembly.node import NodeSettings

TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is not well: what (`pod shop/orders-1`), why, and the words of whoever saw it."""

    what: str
    reason: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}" + (f" ({self.message})" if self.message else "")


def of_components(settings: NodeSettings) -> tuple[Trouble, ...]:
    """Processes of ours that do not run, and what they left as the reason."""
    found = []
    for name in processes(settings):
        if supervisor.holder(supervisor.lock_path(settings, name)):
            continue
        path = supervisor.broken_file(settings, name)
        said = path.read_text(encoding="utf-8") if path.exists() else ""
        found.append(Trouble(f"process {name}", said or "stopped", "" if said else f"see {settings.log_dir / name}.log"))
    return tuple(found)


def of_node(node: dict[str, Any]) -> tuple[Trouble, ...]:
    """Not ready, under pressure, or not to be scheduled on."""
    name = f"node {node['metadata']['name']}"
    found = [
        _from(name, condition, condition["type"] if condition["type"] != "Ready" else "NotReady")
        for condition in node.get("status", {}).get("conditions") or ()
        if (condition["status"] == "True") != (condition["type"] == "Ready")
    ]
    if node.get("spec", {}).get("unschedulable"):
        found.append(Trouble(name, "SchedulingDisabled", "let pods onto it with: kubectl uncordon"))
    return tuple(found)


def of_pods(pods: Iterable[dict[str, Any]]) -> tuple[Trouble, ...]:
    """Each pod that is not ready, failed, or cannot go; the ones that have done their work are well."""
    found = (of_pod(pod) for pod in pods)
    return tuple(trouble for trouble in found if trouble is not None)


def of_pod(pod: dict[str, Any]) -> Trouble | None:
    """The reason that lies deepest: a container's before the pod's condition, as kubectl's STATUS column chooses."""
    what = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return None
    if status.get("phase") == "Failed":
        return _from(what, status, "Failed")
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") not in ("PodInitializing", "ContainerCreating"):
            return _from(what, waiting, "Waiting")
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return None
    unmet = next((conditions[kind] for kind in ("PodScheduled", "Initialized") if _is_false(conditions.get(kind))), None)
    return _from(what, unmet or conditions.get("Ready", {}), status.get("phase", "Pending"))


def of_gateway(settings: NodeSettings) -> tuple[Trouble, ...]:
    """That its image is not there yet: a running cluster makes it once, from packages, and the gateway's pod only then."""
    image = GatewaySettings(run_dir=settings.run_dir).image
    if not settings.gateway or asyncio.run(open_images(settings).service.present(image)) is not None:
        return ()
    return (Trouble("gateway", f"its image {image} is still being made", f"see {settings.log_dir / 'gateway.log'}"),)


def _is_false(condition: dict[str, Any] | None) -> bool:
    return condition is not None and condition["status"] != "True"


def _from(what: str, said: dict[str, Any], reason: str) -> Trouble:
    message = " ".join(str(said.get("message") or "").split())
    own = str(said.get("reason") or "")
    return Trouble(what, reason if reason == "NotReady" else own or reason, message[:TEXT_MAX])
