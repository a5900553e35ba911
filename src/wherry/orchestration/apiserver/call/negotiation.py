"""Which form of an answer a client accepts: JSON or YAML; the object, its Table, or its metadata alone.

In:    the Accept header.
Out:   the first acceptable `Form`; 406 when there is none. Protobuf and CBOR are not offered: clients that ask for
       them also list JSON.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables ; RFC 9110 12.5.1.
"""

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from wherry.orchestration.apiserver import errors

SUPPORTED = ("application/json", "application/yaml")
_ANY = ("*/*", "application/*", "text/*", "")
_CLIENTS_MAX = 256


class Shape(StrEnum):
    """What is shown of an object."""

    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


class Form(NamedTuple):
    """`version` is that of meta.k8s.io for tables and metadata."""

    shape: Shape
    is_yaml: bool
    version: str = "v1"

    @property
    def content_type(self) -> str:
        """Of the answer."""
        return "application/yaml" if self.is_yaml else "application/json"


PLAIN = Form(Shape.OBJECT, False)


@lru_cache(_CLIENTS_MAX)
def form_of(accept: str) -> Form:
    """Choose. Raise `ApiError` 406."""
    if not accept:
        return PLAIN
    wishes = sorted(map(_parse, accept.split(",")), key=lambda wish: -wish[2])
    for media_type, params, quality in wishes:
        form = _offer(media_type, params) if quality > 0 else None
        if form is not None:
            return form
    raise errors.not_acceptable(SUPPORTED)


def _parse(text: str) -> tuple[str, dict[str, str], float]:
    media_type, *rest = (part.strip() for part in text.split(";"))
    params = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in rest)}
    try:
        quality = float(params.pop("q", "1"))
    except ValueError:
        quality = 0.0
    return media_type.lower(), params, quality


def _offer(media_type: str, params: dict[str, str]) -> Form | None:
    if media_type not in SUPPORTED and media_type not in _ANY:
        return None
    is_yaml = media_type == "application/yaml"
    shown = params.get("as")
    if shown is None:
        return Form(Shape.OBJECT, is_yaml)
    if params.get("g") != "meta.k8s.io" or params.get("v") not in ("v1", "v1beta1"):
        return None
    if shown == "Table":
        return Form(Shape.TABLE, is_yaml, params["v"])
    if shown in ("PartialObjectMetadata", "PartialObjectMetadataList"):
        return Form(Shape.METADATA, is_yaml, params["v"])
    return None
