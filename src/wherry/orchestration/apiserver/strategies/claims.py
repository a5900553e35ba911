"""Write rules of PersistentVolumeClaims: where their data comes from is said in two fields that agree.

Spec:  upstream pkg/api/persistentvolumeclaim/util.go (EnforceDataSourceBackwardsCompatibility, NormalizeDataSources).
"""

from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.objects.meta import Object

# What `dataSource` may name; anything else in it was always ignored. `dataSourceRef` may name any kind.
SOURCES = {("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")}


class ClaimStrategy(Strategy):
    """`dataSourceRef` of another namespace is dropped, as where CrossNamespaceVolumeDataSource is off."""

    def __init__(self) -> None:
        super().__init__(has_status=True, initial_status={"phase": "Pending"})

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _settle(obj.get("spec") or {}, {})

    def prepare_update(self, obj: Object, old: Object) -> None:
        super().prepare_update(obj, old)
        _settle(obj.get("spec") or {}, old.get("spec") or {})


def _settle(spec: Object, before: Object) -> None:
    """What is in use stays as it is, also what an earlier version stored in one of the fields only."""
    if before.get("dataSource") and not before.get("dataSourceRef"):
        return
    source = spec.get("dataSource")
    if source and not before.get("dataSource") and (source.get("apiGroup") or "", source.get("kind")) not in SOURCES:
        del spec["dataSource"]
    if (spec.get("dataSourceRef") or {}).get("namespace") and not before.get("dataSourceRef"):
        del spec["dataSourceRef"]
    one, other = spec.get("dataSource"), spec.get("dataSourceRef")
    if one and not other:
        spec["dataSourceRef"] = dict(one)
    elif other and not one:
        spec["dataSource"] = dict(other)
