"""What the kinds of apiregistration.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import cluster
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.API_SERVICES, "Hands a group and version to another API server.", strategy=plain(needs_revision=True),
        columns=cluster.API_SERVICE),
)
