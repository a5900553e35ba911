"""What the kinds of coordination.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import cluster
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.LEASES, "A claim that has to be renewed: leader election and heartbeats.",
        strategy=plain(creates_on_update=True, needs_revision=True), columns=cluster.LEASE),
)
