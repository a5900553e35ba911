"""What a Namespace being deleted says about how far it is: pure.

Spec:  Kubernetes pkg/controller/namespace/deletion/status_condition_utils.go (types, reasons and texts).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wherry.orchestration.objects.meta import Object, with_condition


@dataclass(slots=True)
class Progress:
    """One pass over the content. Counts are of objects left, by resource and by finalizer."""

    remaining: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    undiscovered: Sequence[str] = ()

    def count(self, resource: str, objects: Iterable[Object]) -> None:
        """Add what is left of one resource."""
        for obj in objects:
            self.remaining[resource] += 1
            self.finalizers.update(obj["metadata"].get("finalizers") or ())

    @property
    def is_done(self) -> bool:
        """Nothing is left, and nothing could have been overlooked."""
        return not self.remaining and not self.errors and not self.undiscovered


def conditions_of(old: Sequence[Mapping[str, object]] | None, progress: Progress, now: datetime) -> list[Object]:
    """The conditions after a pass; problems that are over turn False, ones that never were are told as False too."""
    conditions = list(map(dict, old or ()))
    for new in _wanted(progress):
        conditions = with_condition(conditions, new, now)
    return conditions


def _wanted(progress: Progress) -> list[Object]:
    return [
        _row(
            "NamespaceDeletionDiscoveryFailure",
            ("DiscoveryFailed", f"Discovery failed for some groups, {len(progress.undiscovered)} failing: "
             f"unable to retrieve the complete list of server APIs: {', '.join(progress.undiscovered)}")
            if progress.undiscovered else None,
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        _row(
            "NamespaceDeletionGroupVersionParsingFailure", None,
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        _row(
            "NamespaceDeletionContentFailure",
            ("ContentDeletionFailed", f"Failed to delete all resource types, {len(progress.errors)} remaining: "
             f"{', '.join(sorted(progress.errors))}")
            if progress.errors else None,
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        _row(
            "NamespaceContentRemaining",
            ("SomeResourcesRemain", f"Some resources are remaining: {_resources(progress.remaining)}")
            if progress.remaining else None,
            ("ContentRemoved", "All content successfully removed"),
        ),
        _row(
            "NamespaceFinalizersRemaining",
            ("SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {_finalizers(progress)}")
            if progress.finalizers else None,
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]  # fmt: skip


def _row(kind: str, problem: tuple[str, str] | None, fine: tuple[str, str]) -> Object:
    reason, message = problem or fine
    return {"type": kind, "status": "True" if problem else "False", "reason": reason, "message": message}


def _resources(remaining: Counter[str]) -> str:
    return ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(remaining.items()))


def _finalizers(progress: Progress) -> str:
    return ", ".join(f"{name} in {count} resource instances" for name, count in sorted(progress.finalizers.items()))
