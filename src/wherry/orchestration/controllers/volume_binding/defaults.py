"""The storage class of claims that name none. Pure.

Spec:  Kubernetes pkg/volume/util GetDefaultClass: of several marked ones the newest, then the first by name.
"""

from collections.abc import Iterable

from wherry.orchestration.objects.meta import Object, annotations_of, name_of
from wherry.orchestration.objects.well_known import BETA_IS_DEFAULT_STORAGE_CLASS_ANNOTATION, IS_DEFAULT_STORAGE_CLASS_ANNOTATION

IS_DEFAULT = (IS_DEFAULT_STORAGE_CLASS_ANNOTATION, BETA_IS_DEFAULT_STORAGE_CLASS_ANNOTATION)


def default_class(classes: Iterable[Object]) -> Object | None:
    """None when none is marked."""
    marked = [c for c in classes if any(annotations_of(c).get(name) == "true" for name in IS_DEFAULT)]
    marked.sort(key=name_of)
    return max(marked, key=lambda c: str(c["metadata"].get("creationTimestamp", "")), default=None)
