"""Tells the writer of an object that it will have no effect; refuses it when it restricts access.

In:    creates and updates; the table of `objects/not_enforced.py`; definitions of custom resources; ingress classes.
Out:   texts for the `Warning:` header; `ApiError` 403.
Rule:  docs/design/not-enforced.md
"""

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import ITSELF, WRITES, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects import not_enforced
from wherry.orchestration.objects.kinds import BUILTIN, CUSTOM_RESOURCE_DEFINITIONS, INGRESS_CLASSES
from wherry.orchestration.objects.meta import annotations_of
from wherry.orchestration.objects.well_known import ANNOTATION_INGRESS_CLASS

_BUILTIN_GROUPS = frozenset(resource.group for resource in BUILTIN)


class NotEnforced(Plugin):
    """See the module docstring. `policies`: what happens to an object that would be refused, "refuse" or "warn"."""

    operations = WRITES
    subresources = ITSELF

    def __init__(self, source: ObjectSource, policies: str) -> None:
        self._source = source
        self._policies = policies
        self._custom: tuple[int, dict[tuple[str, str], tuple[str, ...]]] = (-1, {})

    async def validate(self, request: AdmissionRequest) -> None:
        group, plural = request.place
        if group not in _BUILTIN_GROUPS:
            self._tell(request, *self._of_custom(group, plural))
            return
        if (group, plural) == ("networking.k8s.io", "ingresses"):
            self._tell(request, self._of_ingress(request))
            return
        row = not_enforced.row_of(group, plural)
        sentence = row.says(request.new) if row is not None else ""
        if row is None or not sentence:
            return
        is_same = request.old is not None and request.old.get("spec") == request.new.get("spec")
        if row.effect == not_enforced.REFUSE and self._policies != not_enforced.WARN and not is_same:
            raise errors.forbidden(request.resource, request.name, sentence)
        self._tell(request, sentence)

    def _tell(self, request: AdmissionRequest, *sentences: str) -> None:
        for sentence in sentences:
            if sentence and sentence not in request.warnings:
                request.warnings.append(sentence)

    def _of_custom(self, group: str, plural: str) -> tuple[str, ...]:
        revision = self._source.revision(CUSTOM_RESOURCE_DEFINITIONS)
        if self._custom[0] != revision:
            self._custom = (revision, {})
        known = self._custom[1]
        if (group, plural) not in known:
            crd = self._source.get(CUSTOM_RESOURCE_DEFINITIONS, "", f"{plural}.{group}") or {"metadata": {}}
            count = not_enforced.rules_in(crd)
            text = f"{count} validation rules (CEL) of {plural}.{group} are not evaluated by this version" if count else ""
            known[group, plural] = (annotations_of(crd).get(not_enforced.ANNOTATION, ""), text)
        return known[group, plural]

    def _of_ingress(self, request: AdmissionRequest) -> str:
        assert request.obj is not None
        name = (request.obj.get("spec") or {}).get("ingressClassName") or annotations_of(request.obj).get(ANNOTATION_INGRESS_CLASS)
        if not name:
            return "no ingressClassName, and no IngressClass is the default: no controller will serve this Ingress"
        if self._source.get(INGRESS_CLASSES, "", name) is None:
            return f'no IngressClass "{name}" exists: no controller will serve this Ingress'
        return ""
