"""What the kinds of node.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import cluster
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.RUNTIME_CLASSES, "How containers of a pod are run.", strategy=plain(creates_on_update=True, needs_revision=True),
        columns=cluster.RUNTIME_CLASS),
)
