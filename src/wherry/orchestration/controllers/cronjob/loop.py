"""Start the Jobs of CronJobs when they are due, and keep their history short.

In:    informers of CronJobs and Jobs.
Out:   Jobs created and deleted; status.active, lastScheduleTime, lastSuccessfulTime; events.
"""

from datetime import datetime
from email.utils import format_datetime

from wherry.kit.clock import rfc3339
from wherry.kit.errors import AlreadyExists, Invalid, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.client.recorder import NORMAL, WARNING
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
from wherry.orchestration.controllers.workload.children import BY_OWNER, controlled_by, owners_in
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.controllers.workload.status import without_zeros, write_status
from wherry.orchestration.objects.kinds import CRON_JOBS, JOBS
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, uid_of

MARGIN_S = 0.1  # wake just after the minute, not just before it


class Controller(Loop[str]):
    """Runs CronJobs."""

    name = "cronjob-controller"
    workers = 2
    watches = (Watch(CRON_JOBS), Watch(JOBS, owners_in(CRON_JOBS, None), indexes=BY_OWNER))

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Note what ended, start what is due."""
        cron_job = seen[CRON_JOBS].get(key)
        if cron_job is None:
            return None
        jobs = controlled_by(seen[JOBS], cron_job)
        status = await self._observe(cron_job, jobs, seen)
        cron_job = await write_status(self.client, seen, CRON_JOBS, cron_job, status)
        for job in to_forget(cron_job, jobs):
            await self._delete(cron_job, job)
        if is_deleting(cron_job) or cron_job["spec"].get("suspend"):
            return None
        schedule = self._schedule(cron_job)
        if schedule is None:
            return None
        now = self.clock.now()
        await self._start_due(cron_job, schedule, now, seen)
        following = schedule.after(now)
        return None if following is None else (following - now).total_seconds() + MARGIN_S

    def _schedule(self, cron_job: Object) -> Schedule | None:
        text, zone = cron_job["spec"]["schedule"], cron_job["spec"].get("timeZone")
        try:
            return parse(text, zone)
        except UnknownTimeZone as error:
            self.recorder.event(cron_job, WARNING, "UnknownTimeZone", f'invalid timeZone: "{zone}": {error}')
        except Invalid as error:
            self.recorder.event(cron_job, WARNING, "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}')
        return None

    async def _observe(self, cron_job: Object, jobs: list[Object], seen: Seen) -> Object:
        """The status after looking at the Jobs."""
        status = dict(cron_job.get("status") or {})
        by_uid = {uid_of(job): job for job in jobs}
        active = []
        for reference in status.get("active") or ():
            job = by_uid.get(reference.get("uid"))
            if job is None:
                if await self._exists(cron_job, reference, seen):
                    active.append(reference)
                else:
                    what = f"Active job went missing: {reference.get('name')}"
                    self.recorder.event(cron_job, NORMAL, "MissingJob", what)
            elif ended_as(job):
                what = f"Saw completed job: {name_of(job)}, condition: {ended_as(job)}"
                self.recorder.event(cron_job, NORMAL, "SawCompletedJob", what)
            else:
                active.append(reference)
        known = {reference.get("uid") for reference in active}
        for job in jobs:
            if not ended_as(job) and uid_of(job) not in known and not await self._is_listed(cron_job, job):
                what = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                self.recorder.event(cron_job, WARNING, "UnexpectedJob", what)
        return without_zeros({**status, "active": active, "lastSuccessfulTime": last_success(cron_job, jobs)})

    async def _start_due(self, cron_job: Object, schedule: Schedule, now: datetime, seen: Seen) -> None:
        found = due(cron_job, schedule, now)
        if found.missed > MISSED_MAX:
            what = (
                f"too many missed start times: {found.missed}. "
                "Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            )
            self.recorder.event(cron_job, WARNING, "TooManyMissedTimes", what)
        if found.at is None:
            return
        if is_too_late(cron_job, found.at, now):
            what = f"Missed scheduled time to start a job: {format_datetime(found.at)}"
            self.recorder.event(cron_job, WARNING, "MissSchedule", what)
            return
        active = (cron_job.get("status") or {}).get("active") or []
        if any(reference.get("name") == job_name(cron_job, found.at) for reference in active):
            return
        policy = cron_job["spec"].get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            what = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.recorder.event(cron_job, NORMAL, "JobAlreadyActive", what)
            return
        if policy == "Replace":
            for reference in active:
                job = seen[JOBS].get(f"{namespace_of(cron_job)}/{reference['name']}")
                if job is not None:
                    await self._delete(cron_job, job)
            active = []
        await self._start(cron_job, found.at, active, seen)

    async def _start(self, cron_job: Object, at: datetime, active: list[Object], seen: Seen) -> None:
        job = job_for(cron_job, at)
        try:
            created = await self.client.create(JOBS, job)
        except AlreadyExists:
            created = await self.client.get(JOBS, name_of(job), namespace_of(job))
        except WherryError as error:
            if is_namespace_ending(error):
                return
            self.recorder.event(cron_job, WARNING, "FailedCreate", f"Error creating job: {error}")
            raise
        else:
            self.recorder.event(cron_job, NORMAL, "SuccessfulCreate", f"Created job {name_of(job)}")
        status = {**(cron_job.get("status") or {}), "lastScheduleTime": rfc3339(at)}
        status["active"] = [*active, *([] if ended_as(created) else [reference_to(created)])]
        await write_status(self.client, seen, CRON_JOBS, cron_job, without_zeros(status))

    async def _delete(self, cron_job: Object, job: Object) -> None:
        try:
            await self.client.delete(JOBS, name_of(job), namespace_of(job), uid=uid_of(job), propagation="Background")
        except NotFound:
            return
        except WherryError as error:
            self.recorder.event(cron_job, WARNING, "FailedDelete", f"Deleted job: {error}")
            raise
        self.recorder.event(cron_job, NORMAL, "SuccessfulDelete", f"Deleted job {name_of(job)}")

    async def _exists(self, cron_job: Object, reference: Object, seen: Seen) -> bool:
        """Ask the server: the informer may not have the Job yet."""
        if seen[JOBS].get(f"{namespace_of(cron_job)}/{reference.get('name')}") is not None:
            return False  # another Job of that name
        try:
            live = await self.client.get(JOBS, str(reference.get("name")), namespace_of(cron_job))
        except NotFound:
            return False
        return uid_of(live) == reference.get("uid")

    async def _is_listed(self, cron_job: Object, job: Object) -> bool:
        """Ask the server: the informer of Jobs may be ahead of the one of CronJobs."""
        live = await self.client.get(CRON_JOBS, name_of(cron_job), namespace_of(cron_job))
        return any(entry.get("uid") == uid_of(job) for entry in (live.get("status") or {}).get("active") or ())
