"""What the kinds of flowcontrol.apiserver.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import cluster
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.FLOW_SCHEMAS, "Which requests belong to which priority level.", strategy=plain(tracks_generation=True),
        columns=cluster.FLOW_SCHEMA),
    Sheet(
        kinds.PRIORITY_LEVEL_CONFIGURATIONS, "How many requests of a level are served at once, and which wait.",
        strategy=plain(tracks_generation=True), columns=cluster.PRIORITY_LEVEL_CONFIGURATION),
)
