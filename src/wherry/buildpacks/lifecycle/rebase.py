"""Rebase: the same application layers on a newer base, without building.

In:    an image that was made by buildpacks, a new run image.
Out:   the image under its names; only its config and manifest are new. `PhaseFailed` 72 when the bases do not fit.
Spec:  Platform API 0.15 "rebaser"; the refusals are the lifecycle's.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.buildpacks.lifecycle import records
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.records import RunImageRecord
from wherry.container.content import builder
from wherry.container.content.content import Content, OpenedImage
from wherry.container.image.service import Image

_BASE_LABELS = ("io.buildpacks.base.", "io.buildpacks.stack.")
_REBASABLE = "io.buildpacks.rebasable"


async def rebase(content: Content, app: str, names: Sequence[str], run_image: str = "", *, force: bool = False) -> Image:
    """Put the image `app` on `run_image` ("": the newest of the name it was built on) and store it as `names`."""
    image = content.open_image(app)
    labels = _labels(image)
    record = records.read(labels.get(records.LABEL, ""))
    if not record.run_image.top_layer:
        raise PhaseFailed(Code.REBASE, f"image {app!r} was not made by buildpacks: it has no label {records.LABEL}")
    wanted = run_image or record.run_image.image
    base = content.open_image(wanted)
    if not force:
        _check(app, image, base, wanted, record.run_image)
    cut = _own_layers_from(app, image, record.run_image.top_layer)
    document = _config(image, base, cut, wanted, record.run_image)
    return await builder.write_image(content, document, [*base.layers, *image.layers[cut:]], names)


def run_image_of(content: Content, app: str) -> str:
    """The name of the base that `app` was built on; "" when buildpacks did not make it. Raise `NotFound`."""
    return records.read(_labels(content.open_image(app)).get(records.LABEL, "")).run_image.image


def _check(app: str, image: OpenedImage, base: OpenedImage, wanted: str, before: RunImageRecord) -> None:
    if _labels(image).get(_REBASABLE) == "false":
        raise PhaseFailed(Code.REBASE, f"image {app!r} says it cannot be rebased; --force does it all the same")
    if wanted not in (before.image, *before.mirrors):
        raise PhaseFailed(
            Code.REBASE, f"run image {wanted!r} is not the one {app!r} was built on ({before.image!r}) nor a mirror; use --force"
        )
    for key in ("os", "architecture", "variant"):
        mine, theirs = image.config.get(key) or "", base.config.get(key) or ""
        if mine and theirs and mine != theirs:
            raise PhaseFailed(Code.REBASE, f"{key}: image {app!r} is for {mine!r}, run image {wanted!r} for {theirs!r}")
    for key in ("name", "version"):
        label = f"io.buildpacks.base.distro.{key}"
        mine, theirs = _labels(image).get(label, ""), _labels(base).get(label, "")
        if mine and theirs and mine != theirs:
            raise PhaseFailed(Code.REBASE, f"distribution {key}: image {app!r} has {mine!r}, run image {wanted!r} {theirs!r}")


def _own_layers_from(app: str, image: OpenedImage, top_layer: str) -> int:
    for index, layer in enumerate(image.layers):
        if layer.diff_id == top_layer:
            return index + 1
    raise PhaseFailed(Code.REBASE, f"image {app!r} does not hold the top layer {top_layer} of its base")


def _config(image: OpenedImage, base: OpenedImage, cut: int, wanted: str, before: RunImageRecord) -> dict[str, Any]:
    document = copy.deepcopy(dict(image.config))
    labels = {key: value for key, value in _labels(image).items() if not key.startswith(_BASE_LABELS)}
    labels |= {key: value for key, value in _labels(base).items() if key.startswith(_BASE_LABELS)}
    metadata = json.loads(labels[records.LABEL])
    is_same = wanted in (before.image, *before.mirrors)
    metadata["runImage"] = {
        **metadata.get("runImage", {}), "topLayer": base.layers[-1].diff_id if base.layers else "",
        "reference": f"{wanted.rpartition('@')[0] or wanted.rsplit(':', 1)[0]}@{base.manifest_digest}",
        **({} if is_same else {"image": wanted, "mirrors": []}),
    }  # fmt: skip
    labels[records.LABEL] = json.dumps(metadata, separators=(",", ":"))
    document["config"] = {**(document.get("config") or {}), "Labels": labels}
    document["history"] = [*_history(base.config, len(base.layers)), *_history(image.config, len(image.layers))[cut:]]
    return document


def _history(config: Mapping[str, Any], layers: int) -> list[dict[str, Any]]:
    """One entry for each layer, made up where the config does not tell."""
    full = [entry for entry in config.get("history") or () if not entry.get("empty_layer")]
    return full if len(full) == layers else [builder.history("base image") for _ in range(layers)]


def _labels(image: OpenedImage) -> dict[str, str]:
    return dict((image.config.get("config") or {}).get("Labels") or {})
