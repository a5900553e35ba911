"""What an image and a cache remember of a build: `io.buildpacks.lifecycle.metadata`.

In:    the label's JSON (of an image anybody may have made).
Out:   values, and JSON again; unknown fields are dropped, a label that makes no sense reads as none.
Spec:  Platform API 0.15 "io.buildpacks.lifecycle.metadata"; the fields are those the lifecycle writes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LABEL = "io.buildpacks.lifecycle.metadata"
CACHE_LABEL = "io.buildpacks.lifecycle.cache.metadata"


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer as it was exported: its diff id, flags and metadata."""

    sha: str
    data: Mapping[str, Any] = field(default_factory=dict)
    is_build: bool = False
    is_launch: bool = False
    is_cache: bool = False


@dataclass(frozen=True, slots=True)
class PackRecord:
    """One buildpack's layers and store."""

    key: str
    version: str
    layers: Mapping[str, LayerRecord]
    store: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunImageRecord:
    """The base: its top layer's diff id is where a rebase cuts."""

    top_layer: str = ""
    reference: str = ""
    image: str = ""
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """Everything of one build. Empty for an image that was not made by buildpacks."""

    packs: tuple[PackRecord, ...] = ()
    app: tuple[str, ...] = ()
    sbom: str = ""
    config: str = ""
    launcher: str = ""
    process_types: str = ""
    run_image: RunImageRecord = field(default_factory=RunImageRecord)

    def layers_of(self, key: str) -> Mapping[str, LayerRecord]:
        """The layers of one buildpack by its id."""
        return next((pack.layers for pack in self.packs if pack.key == key), {})

    def store_of(self, key: str) -> Mapping[str, Any]:
        """What one buildpack asked to keep."""
        return next((pack.store for pack in self.packs if pack.key == key), {})

    def document(self) -> dict[str, Any]:
        """As the label's JSON."""
        run = self.run_image
        stack = {"image": run.image, **({"mirrors": list(run.mirrors)} if run.mirrors else {})}
        made: dict[str, Any] = {
            "app": [{"sha": sha} for sha in self.app],
            "buildpacks": [_pack_document(pack) for pack in self.packs],
            "config": {"sha": self.config},
            "launcher": {"sha": self.launcher},
            "process-types": {"sha": self.process_types},
            "runImage": {"topLayer": run.top_layer, "reference": run.reference, **stack},
            "stack": {"runImage": stack},
        }
        return made | ({"sbom": {"sha": self.sbom}} if self.sbom else {})


def read(text: str) -> BuildRecord:
    """A label's text; anything that is no record is an empty one, so that a strange image costs a rebuild only."""
    try:
        document = json.loads(text or "{}")
        return _record(document) if isinstance(document, dict) else BuildRecord()
    except (ValueError, TypeError, AttributeError, KeyError):
        return BuildRecord()


def _record(document: Mapping[str, Any]) -> BuildRecord:
    run = document.get("runImage") or {}
    return BuildRecord(
        packs=tuple(_pack(pack) for pack in document.get("buildpacks") or ()),
        app=tuple(str(entry["sha"]) for entry in document.get("app") or ()),
        run_image=RunImageRecord(
            str(run.get("topLayer", "")), str(run.get("reference", "")), str(run.get("image", "")), tuple(run.get("mirrors") or ())
        ),
        **{name.replace("-", "_"): _sha(document, name) for name in ("sbom", "config", "launcher", "process-types")},
    )


def _sha(document: Mapping[str, Any], name: str) -> str:
    return str((document.get(name) or {}).get("sha", ""))


def _pack(document: Mapping[str, Any]) -> PackRecord:
    layers = {
        str(name): LayerRecord(
            str(layer.get("sha", "")), layer.get("data") or {},
            bool(layer.get("build")), bool(layer.get("launch")), bool(layer.get("cache")),
        )
        for name, layer in (document.get("layers") or {}).items()
    }  # fmt: skip
    store = (document.get("store") or {}).get("metadata") or {}
    return PackRecord(str(document["key"]), str(document.get("version", "")), layers, store)


def _pack_document(pack: PackRecord) -> dict[str, Any]:
    layers = {
        name: {"sha": layer.sha, "data": layer.data, "build": layer.is_build, "launch": layer.is_launch, "cache": layer.is_cache}
        for name, layer in sorted(pack.layers.items())
    }
    made: dict[str, Any] = {"key": pack.key, "version": pack.version, "layers": layers}
    return made | ({"store": {"metadata": pack.store}} if pack.store else {})
