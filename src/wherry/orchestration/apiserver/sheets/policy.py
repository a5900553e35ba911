"""What the kinds of policy are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import workloads
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.POD_DISRUPTION_BUDGETS, "How many pods may be taken away at once on purpose.",
        strategy=plain(
            tracks_generation=True, initial_status={"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0,
            "expectedPods": 0}, needs_revision=True),
        columns=workloads.POD_DISRUPTION_BUDGET),
)
