"""The pods of a Job: pure.

Spec:  Kubernetes pkg/controller/job/{job_controller,indexed_job_utils}.go.
"""

from wherry.orchestration.controllers.job.tally import FINALIZER, INDEX_FAILURES, INDEX_IGNORED
from wherry.orchestration.controllers.workload.pod_template import pod_from
from wherry.orchestration.objects.kinds import JOBS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.well_known import JOB_COMPLETION_INDEX_ANNOTATION

INDEX_ENV = "JOB_COMPLETION_INDEX"
GENERATED_NAME_MAX = 63 - 5 - 1  # the server adds five characters


def pod_for(job: Object, index: int | None, *, failures: int = 0, ignored: int = 0) -> Object:
    """A pod of the Job, for one completion index when it is Indexed."""
    pod = pod_from(job["spec"]["template"], job, JOBS)
    metadata = pod["metadata"]
    metadata["finalizers"] = [*(f for f in metadata.get("finalizers") or () if f != FINALIZER), FINALIZER]
    if index is None:
        return pod
    metadata["generateName"] = f"{name_of(job)[: GENERATED_NAME_MAX - len(str(index)) - 1]}-{index}-"
    metadata["labels"] = {**(metadata.get("labels") or {}), JOB_COMPLETION_INDEX_ANNOTATION: str(index)}
    annotations = {**(metadata.get("annotations") or {}), JOB_COMPLETION_INDEX_ANNOTATION: str(index)}
    if job["spec"].get("backoffLimitPerIndex") is not None:
        annotations[INDEX_FAILURES] = str(failures)
        if ignored:
            annotations[INDEX_IGNORED] = str(ignored)
    metadata["annotations"] = annotations
    spec = pod["spec"]
    spec["hostname"] = f"{name_of(job)}-{index}"
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        environment = container.setdefault("env", [])
        if not any(variable.get("name") == INDEX_ENV for variable in environment):
            source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{JOB_COMPLETION_INDEX_ANNOTATION}']"}}
            environment.append({"name": INDEX_ENV, "valueFrom": source})
    return pod
