"""Where the replicas of a scalable kind are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where replicas are, as paths. `selector` is "" when the kind has its selector in spec.selector."""

    spec: tuple[str, ...] = ("spec", "replicas")
    status: tuple[str, ...] = ("status", "replicas")
    selector: tuple[str, ...] = ()


def paths_of(scale: Mapping[str, Any]) -> ScalePaths:
    """From a CRD's `subresources.scale`."""
    def split(name: str) -> tuple[str, ...]:
        return tuple(part for part in scale.get(name, "").split(".") if part)

    return ScalePaths(split("specReplicasPath"), split("statusReplicasPath"), split("labelSelectorPath"))
