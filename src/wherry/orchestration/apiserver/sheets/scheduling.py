"""What the kinds of scheduling.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet
from wherry.orchestration.apiserver.tables import cluster
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.PRIORITY_CLASSES, "How important pods are compared with others.", columns=cluster.PRIORITY_CLASS),
)
