"""Phase 1, analyze: what the image of the last build and the base say.

In:    the content store; names of the image to make and of the image to compare with.
Out:   `Analyzed`; nothing is changed.
Spec:  Platform API 0.15 "analyzer".
"""

from dataclasses import dataclass, field

from wherry.buildpacks.lifecycle import records
from wherry.buildpacks.lifecycle.records import BuildRecord
from wherry.container.content.content import Content
from wherry.kit.errors import NotFound


@dataclass(frozen=True, slots=True)
class Analyzed:
    """`previous` is the record of the last image, empty when there is none or its layers are gone."""

    previous_id: str = ""
    previous: BuildRecord = field(default_factory=BuildRecord)
    history: tuple[tuple[str, str], ...] = ()  # diff id, created_by: of the last image's layers


def analyze(content: Content, previous_image: str) -> Analyzed:
    """Read the last image's record, if there is one."""
    try:
        image = content.open_image(previous_image)
    except NotFound:
        return Analyzed()
    labels = (image.config.get("config") or {}).get("Labels") or {}
    entries = [str(entry.get("created_by", "")) for entry in image.config.get("history") or () if not entry.get("empty_layer")]
    shas = [layer.diff_id for layer in image.layers]
    return Analyzed(image.id, records.read(str(labels.get(records.LABEL, ""))), tuple(zip(shas, entries, strict=False)))
