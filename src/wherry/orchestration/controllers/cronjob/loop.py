"""Start the Jobs of CronJobs when they are due, and keep their history short.

In:    informers of CronJobs and Jobs.
Out:   Jobs created and deleted; status.active, lastScheduleTime, lastSuccessfulTime; events.
"""

from datetime import datetime
from email.utils import format_datetime

from wherry.kit.clock import Clock, rfc3339
from wherry.kit.errors import AlreadyExists, Invalid, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.cronjob.decide import (
    MISSED_MAX,
    due,
    ended_as,
    is_too_late,
    job_for,
    job_name,
    last_success,
    reference_to,
    to_forget,
)
from wherry.orchestration.controllers.cronjob.schedule import Schedule, UnknownTimeZone, parse
from wherry.orchestration.controllers.workload.children import (
    controlled_by,
    index_children,
    wake_on_change,
    wake_owners,
)
from wherry.orchestration.controllers.workload.expectations import RECHECK_S
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.controllers.workload.status import StatusWriter, without_zeros
from wherry.orchestration.objects.kinds import CRON_JOBS, JOBS
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, uid_of

COMPONENT = "cronjob-controller"
WORKERS = 2
MARGIN_S = 0.1  # wake just after the minute, not just before it


class Controller:
    """Runs CronJobs."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder.named(COMPONENT)
        self._cron_jobs = informers.of(CRON_JOBS)
        self._jobs = informers.of(JOBS)
        self._status = StatusWriter(client, self._cron_jobs)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        index_children(self._jobs)
        await self._jobs.wait_synced()
        await self._cron_jobs.wait_synced()
        wake_on_change(self._cron_jobs, self._queue)
        wake_owners(self._jobs, self._cron_jobs, CRON_JOBS, self._queue, None)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Note what ended, start what is due."""
        cron_job = self._cron_jobs.get(key)
        if cron_job is None:
            self._status.forget(key)
            return
        if not self._status.is_fresh(key):
            self._queue.add_after(key, RECHECK_S)
            return
        jobs = controlled_by(self._jobs, cron_job)
        status = await self._observe(cron_job, jobs)
        cron_job = await self._status.write(cron_job, status)
        for job in to_forget(cron_job, jobs):
            await self._delete(cron_job, job)
        if is_deleting(cron_job) or cron_job["spec"].get("suspend"):
            return
        schedule = self._schedule(cron_job)
        if schedule is None:
            return
        now = self._clock.now()
        await self._start_due(cron_job, schedule, now)
        following = schedule.after(now)
        if following is not None:
            self._queue.add_after(key, (following - now).total_seconds() + MARGIN_S)

    def _schedule(self, cron_job: Object) -> Schedule | None:
        text, zone = cron_job["spec"]["schedule"], cron_job["spec"].get("timeZone")
        try:
            return parse(text, zone)
        except UnknownTimeZone as error:
            self._recorder.event(cron_job, WARNING, "UnknownTimeZone", f'invalid timeZone: "{zone}": {error}')
        except Invalid as error:
            self._recorder.event(cron_job, WARNING, "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}')
        return None

    async def _observe(self, cron_job: Object, jobs: list[Object]) -> Object:
        """The status after looking at the Jobs."""
        status = dict(cron_job.get("status") or {})
        by_uid = {uid_of(job): job for job in jobs}
        active = []
        for reference in status.get("active") or ():
            job = by_uid.get(reference.get("uid"))
            if job is None:
                if await self._exists(cron_job, reference):
                    active.append(reference)
                else:
                    what = f"Active job went missing: {reference.get('name')}"
                    self._recorder.event(cron_job, NORMAL, "MissingJob", what)
            elif ended_as(job):
                what = f"Saw completed job: {name_of(job)}, condition: {ended_as(job)}"
                self._recorder.event(cron_job, NORMAL, "SawCompletedJob", what)
            else:
                active.append(reference)
        known = {reference.get("uid") for reference in active}
        for job in jobs:
            if not ended_as(job) and uid_of(job) not in known and not await self._is_listed(cron_job, job):
                what = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                self._recorder.event(cron_job, WARNING, "UnexpectedJob", what)
        return without_zeros({**status, "active": active, "lastSuccessfulTime": last_success(cron_job, jobs)})

    async def _start_due(self, cron_job: Object, schedule: Schedule, now: datetime) -> None:
        found = due(cron_job, schedule, now)
        if found.missed > MISSED_MAX:
            what = (
                f"too many missed start times: {found.missed}. "
                "Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            )
            self._recorder.event(cron_job, WARNING, "TooManyMissedTimes", what)
        if found.at is None:
            return
        if is_too_late(cron_job, found.at, now):
            what = f"Missed scheduled time to start a job: {format_datetime(found.at)}"
            self._recorder.event(cron_job, WARNING, "MissSchedule", what)
            return
        active = (cron_job.get("status") or {}).get("active") or []
        if any(reference.get("name") == job_name(cron_job, found.at) for reference in active):
            return
        policy = cron_job["spec"].get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            what = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._recorder.event(cron_job, NORMAL, "JobAlreadyActive", what)
            return
        if policy == "Replace":
            for reference in active:
                job = self._jobs.get(f"{namespace_of(cron_job)}/{reference['name']}")
                if job is not None:
                    await self._delete(cron_job, job)
            active = []
        await self._start(cron_job, found.at, active)

    async def _start(self, cron_job: Object, at: datetime, active: list[Object]) -> None:
        job = job_for(cron_job, at)
        try:
            created = await self._client.create(JOBS, job)
        except AlreadyExists:
            created = await self._client.get(JOBS, name_of(job), namespace_of(job))
        except WherryError as error:
            if is_namespace_ending(error):
                return
            self._recorder.event(cron_job, WARNING, "FailedCreate", f"Error creating job: {error}")
            raise
        else:
            self._recorder.event(cron_job, NORMAL, "SuccessfulCreate", f"Created job {name_of(job)}")
        status = {**(cron_job.get("status") or {}), "lastScheduleTime": rfc3339(at)}
        status["active"] = [*active, *([] if ended_as(created) else [reference_to(created)])]
        await self._status.write(cron_job, without_zeros(status))

    async def _delete(self, cron_job: Object, job: Object) -> None:
        try:
            await self._client.delete(JOBS, name_of(job), namespace_of(job), uid=uid_of(job), propagation="Background")
        except NotFound:
            return
        except WherryError as error:
            self._recorder.event(cron_job, WARNING, "FailedDelete", f"Deleted job: {error}")
            raise
        self._recorder.event(cron_job, NORMAL, "SuccessfulDelete", f"Deleted job {name_of(job)}")

    async def _exists(self, cron_job: Object, reference: Object) -> bool:
        """Ask the server: the informer may not have the Job yet."""
        if self._jobs.get(f"{namespace_of(cron_job)}/{reference.get('name')}") is not None:
            return False  # another Job of that name
        try:
            live = await self._client.get(JOBS, str(reference.get("name")), namespace_of(cron_job))
        except NotFound:
            return False
        return uid_of(live) == reference.get("uid")

    async def _is_listed(self, cron_job: Object, job: Object) -> bool:
        """Ask the server: the informer of Jobs may be ahead of the one of CronJobs."""
        live = await self._client.get(CRON_JOBS, name_of(cron_job), namespace_of(cron_job))
        return any(entry.get("uid") == uid_of(job) for entry in (live.get("status") or {}).get("active") or ())
