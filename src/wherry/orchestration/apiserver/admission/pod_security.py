"""PodSecurity: namespaces say by label which Pod Security Standard holds in them; enforced on Pods, warned about on what
makes Pods.

Spec:  https://kubernetes.io/docs/concepts/security/pod-security-admission/ . Versions other than latest act as latest;
       there is no audit log, so the audit mode does nothing.
"""

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import POD_PLACE, UPDATE, WRITES, AdmissionRequest, Place, Plugin
from wherry.orchestration.apiserver.admission.pod_security_checks import LEVELS, violations
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import NAMESPACES
from wherry.orchestration.objects.meta import Object, labels_of

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
NAMESPACE_PLACE: Place = ("", "namespaces")
TEMPLATES = frozenset({
    ("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"), ("apps", "daemonsets"),
    ("batch", "jobs"), ("", "replicationcontrollers"), ("batch", "cronjobs"), ("", "podtemplates")})
POD_SUBRESOURCES = ("", "ephemeralcontainers")


class PodSecurity(Plugin):
    """See the module docstring."""

    places = TEMPLATES | {POD_PLACE, NAMESPACE_PLACE}
    operations = WRITES

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def validate(self, request: AdmissionRequest) -> None:
        if request.place == NAMESPACE_PLACE and not request.subresource:
            self._check_labels(request)
        elif request.place == POD_PLACE and request.subresource in POD_SUBRESOURCES:
            if request.operation == UPDATE and request.old is not None and request.new["spec"] == request.old["spec"]:
                return
            self._check_pod(request, request.new, is_enforced=True)
        elif request.place in TEMPLATES and not request.subresource:
            template = template_of(request.new)
            if template:
                self._check_pod(request, template, is_enforced=False)

    def _check_pod(self, request: AdmissionRequest, pod: Object, *, is_enforced: bool) -> None:
        namespace = self._source.get(NAMESPACES, "", request.namespace)
        labels = labels_of(namespace) if namespace else {}
        enforced, warned = labels.get(f"{PREFIX}enforce", "privileged"), labels.get(f"{PREFIX}warn", "privileged")
        if is_enforced and enforced in LEVELS:
            found = violations(enforced, pod)
            if found:
                version = labels.get(f"{PREFIX}enforce-version", "latest")
                raise errors.forbidden(
                    request.resource, request.name,
                    f'violates PodSecurity "{enforced}:{version}": {", ".join(map(str, found))}')
        if warned in LEVELS and (not is_enforced or warned != enforced):
            found = violations(warned, pod)
            if found:
                version = labels.get(f"{PREFIX}warn-version", "latest")
                request.warnings.append(f'would violate PodSecurity "{warned}:{version}": {", ".join(map(str, found))}')

    def _check_labels(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        causes = [
            errors.cause("FieldValueInvalid", f"metadata.labels[{PREFIX}{mode}]",
                         f'Invalid value: "{level}": must be one of {", ".join(LEVELS)}')
            for mode in MODES if (level := labels_of(request.obj).get(f"{PREFIX}{mode}")) is not None and level not in LEVELS]
        if causes:
            raise errors.invalid("", "Namespace", request.name, causes)


def template_of(obj: Object) -> Object | None:
    """The Pod that an object of `TEMPLATES` makes."""
    if obj["kind"] == "PodTemplate":
        found = obj.get("template")
    elif obj["kind"] == "CronJob":
        found = obj.get("spec", {}).get("jobTemplate", {}).get("spec", {}).get("template")
    else:
        found = obj.get("spec", {}).get("template")
    return found if found and "spec" in found else None
