"""What the kinds of events.k8s.io are."""

from wherry.orchestration.apiserver.sheets import conversions
from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain, subject
from wherry.orchestration.apiserver.tables import cluster
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.EVENTS_V1, "A report of something that happened to an object.", strategy=plain(creates_on_update=True),
        columns=cluster.EVENT,
        fields=subject("regarding") | {
            "reason": "reason", "reportingController": "reportingComponent", "type": "type"},
        stored=conversions.EVENTS),
)
