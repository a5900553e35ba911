"""Short forms the apply tests share: real kinds, one applier, one updater, what each owns."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from wherry.orchestration.objects.apply import apply_patch, track_update
from wherry.orchestration.objects.apply.paths import Fields, Path
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.structure import Node

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def node_of(api_version: str, kind: str) -> Node:
    found = structure_of(api_version, kind)
    assert found is not None
    return found


DEPLOYMENT = node_of("apps/v1", "Deployment")
SERVICE = node_of("v1", "Service")
CONFIG_MAP = node_of("v1", "ConfigMap")


def apply(
    live: Any, applied: Any, manager: str = "me", *, node: Node = DEPLOYMENT, force: bool = False, now: datetime = NOW,
    subresource: str = "",
) -> Any:  # fmt: skip
    return apply_patch(
        live, applied, node, manager=manager, api_version=applied.get("apiVersion", "apps/v1"), force=force,
        subresource=subresource, now=now,
    )  # fmt: skip


def update(old: Any, new: Any, manager: str = "editor", *, node: Node = DEPLOYMENT, now: datetime = NOW,
           subresource: str = "") -> Any:  # fmt: skip
    return track_update(
        old, new, node, manager=manager, api_version=new.get("apiVersion", "apps/v1"), subresource=subresource, now=now
    )


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def with_containers(*containers: dict[str, Any]) -> dict[str, Any]:
    return deployment(template={"spec": {"containers": list(containers)}})


def config(data: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}} | ({"data": data} if data else {})


def entries(obj: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(e["manager"], e["operation"]): e for e in obj["metadata"].get("managedFields", [])}


def fields(obj: dict[str, Any], manager: str = "me", operation: str = "Apply") -> dict[str, Any]:
    found: dict[str, Any] = entries(obj)[manager, operation]["fieldsV1"]
    return found


def write_fields(paths: Iterable[Path]) -> Fields:
    """The FieldsV1 tree of `paths`, in upstream's order: made from sorted paths, another way than the code's."""
    root: Fields = {}
    members: set[int] = set()  # ids of the trees whose own path is one of `paths`
    for path in sorted(set(paths)):  # parents before children, f: before k: before v:, as upstream writes them
        here = root
        for element in path:
            below = here.get(element)
            if below is None:
                below = here[element] = {}
                if not here.get(".") and id(here) in members and len(here) == 1:
                    here.clear()
                    here["."] = {}
                    here[element] = below
            here = below
        members.add(id(here))
    return root
