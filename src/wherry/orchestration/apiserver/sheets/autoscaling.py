"""What the kinds of autoscaling are."""

from wherry.orchestration.apiserver.sheets import conversions
from wherry.orchestration.apiserver.sheets.sheet import Sheet
from wherry.orchestration.apiserver.tables import workloads
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.HORIZONTAL_POD_AUTOSCALERS, "Changes the number of pods with the load.",
        columns=workloads.HORIZONTAL_POD_AUTOSCALER),
    Sheet(
        kinds.HORIZONTAL_POD_AUTOSCALERS_V1, "Changes the number of pods with the load.",
        columns=workloads.HORIZONTAL_POD_AUTOSCALER, stored=conversions.AUTOSCALERS_V1),
)
