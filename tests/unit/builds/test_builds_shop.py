"""The example shop: what its manifests say is valid, and its services can be built as they are."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.defaulting import apply_defaults
from wherry.orchestration.objects.validation import validate

SHOP = Path(__file__).parents[3] / "examples" / "shop"
OBJECTS: list[dict[str, Any]] = [
    obj for path in sorted((SHOP / "manifests").glob("*.yaml")) for obj in yaml.safe_load_all(path.read_text())
]


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: f"{obj['kind']} {obj['metadata']['name']}")
def test_object_is_valid(obj: dict[str, Any]) -> None:
    resource = kinds.by_kind(obj["apiVersion"], obj["kind"])
    if resource is None:
        assert obj["apiVersion"] == "gateway.networking.k8s.io/v1"
        return
    assert validate(resource, apply_defaults(resource, obj), None) == []


def test_every_service_has_a_deployment_a_service_and_a_route() -> None:
    there = {(obj["kind"], obj["metadata"]["name"]) for obj in OBJECTS}
    for service in (path.name for path in (SHOP / "services").iterdir() if path.is_dir()):
        assert {("Deployment", service), ("Service", service), ("HTTPRoute", service)} <= there


def test_lock_file_has_every_dependency_and_no_registry() -> None:
    folder = SHOP / "services" / "orders"
    package, lock = (json.loads((folder / name).read_text()) for name in ("package.json", "package-lock.json"))
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]


@pytest.mark.parametrize("path", sorted(SHOP.glob("services/*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_python_source_compiles(path: Path) -> None:
    compile(path.read_text(), str(path), "exec")
