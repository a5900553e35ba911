"""A builder: an order, buildpacks, the image they run in, the images they build for.

In:    a builder.toml and the folders of its buildpacks.
Out:   `Builder`.
Spec:  CNB builder.toml (order, build.image, run.images); `buildpacks` of a run image is our own key.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wherry.buildpacks.lifecycle import descriptor, toml_text
from wherry.buildpacks.lifecycle.descriptor import Buildpack, Order, Packs, Reference
from wherry.kit.errors import Invalid, NotFound

OWN = Path(__file__).parent.parent / "packs"
OWN_BUILDER = OWN / "builder.toml"


@dataclass(frozen=True, slots=True)
class RunImage:
    """A base for the result; for groups with one of `buildpacks`, or for any when empty."""

    image: str
    mirrors: tuple[str, ...] = ()
    buildpacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Builder:
    """See the module docstring."""

    order: Order
    packs: tuple[Buildpack, ...]
    build_image: str
    run_images: tuple[RunImage, ...]

    def run_image(self, group: Iterable[Buildpack]) -> RunImage:
        """The first that fits the group."""
        ids = {pack.id for pack in group}
        for image in self.run_images:
            if not image.buildpacks or ids & set(image.buildpacks):
                return image
        raise NotFound(f"the builder has no run image for {', '.join(sorted(ids))}")


def load(path: Path) -> Builder:
    """Read a builder.toml. Raise `NotFound` or `Invalid`."""
    if not path.is_file():
        raise NotFound(f"builder {str(path)!r} does not exist")
    document = toml_text.read(path)
    order = descriptor.read_order(document)
    if not order:
        raise Invalid(f"{path}: no [[order]]")
    build_image = str((document.get("build") or {}).get("image", ""))
    run_images = tuple(_run_image(entry) for entry in (document.get("run") or {}).get("images", ()))
    if not build_image or not run_images:
        raise Invalid(f"{path}: build.image and [[run.images]] are needed")
    return Builder(order, tuple(_packs(document, path)), build_image, run_images)


def with_buildpacks(builder: Builder, wanted: tuple[str, ...], source: Path) -> Builder:
    """The builder with an order of its own: ids of its buildpacks, or folders (relative to `source` or absolute)."""
    added, group = list(builder.packs), []
    for name in wanted:
        folder = (source / name).resolve()
        if (folder / descriptor.DESCRIPTOR).is_file():
            pack = descriptor.load(folder)
            added.append(pack)
            group.append(Reference(pack.id, pack.version))
        else:
            pack_id, _, version = name.partition("@")
            group.append(Reference(pack_id, version))
            Packs(added).find(group[-1])
    return replace(builder, order=(tuple(group),), packs=tuple(added))


def _packs(document: dict[str, Any], path: Path) -> Iterable[Buildpack]:
    """`[[buildpacks]] uri` as folders beside the file; our own buildpacks are always there."""
    for folder in sorted(OWN.iterdir()):
        if (folder / descriptor.DESCRIPTOR).is_file():
            yield descriptor.load(folder)
    for entry in document.get("buildpacks", ()):
        uri = str(entry.get("uri", "")).removeprefix("file://")
        if "://" in uri:
            raise Invalid(f"{path}: buildpack {uri!r}: only folders can be used")
        yield descriptor.load((path.parent / uri).resolve())


def _run_image(entry: dict[str, Any]) -> RunImage:
    return RunImage(str(entry["image"]), tuple(entry.get("mirrors", ())), tuple(entry.get("buildpacks", ())))
