"""What the kinds of batch are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain, special
from wherry.orchestration.apiserver.strategies.jobs import JobStrategy
from wherry.orchestration.apiserver.tables import workloads
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.CRON_JOBS, "Makes a Job at given times.", strategy=plain(tracks_generation=True), columns=workloads.CRON_JOB),
    Sheet(
        kinds.JOBS, "Runs pods until enough of them have succeeded.", strategy=special(JobStrategy), columns=workloads.JOB,
        fields={"status.successful": "status.succeeded"}),
)
