"""Plugins that keep workloads off what belongs to the cluster: hostPorts, and addresses claimed by spec.externalIPs.

In:    the one list of reserved ports and addresses. Out: 422 with the field, 403 for externalIPs; warnings for templates.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#denyserviceexternalips ; CVE-2020-8554;
       KEP-5707 (externalIPs is deprecated). Cluster addresses and node ports are kept by the Services' allocator.
"""

from wherry.kit.reserved import Reserved
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, ITSELF, POD_PLACE, WRITES, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.admission.pod_security import TEMPLATES, template_of
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.placement import reserved_ports

EXTERNAL_IPS_DEPRECATED = "spec.externalIPs is deprecated"


class ReservedPorts(Plugin):
    """A Pod gets no hostPort of the cluster's own; what makes such Pods is warned of."""

    places = TEMPLATES | {POD_PLACE}
    operations = WRITES
    subresources = ITSELF

    def __init__(self, reserved: Reserved) -> None:
        self._reserved = reserved

    async def validate(self, request: AdmissionRequest) -> None:
        if request.place == POD_PLACE and request.operation == CREATE:
            causes = [
                errors.cause("FieldValueInvalid", path, f"Invalid value: {value}: is reserved for {owner}")
                for path, value, owner in reserved_ports(request.new, self._reserved)
            ]
            if causes:
                raise errors.invalid("", "Pod", request.name, causes)
        elif request.place in TEMPLATES:
            template: Object = template_of(request.new) or {}
            request.warnings += [
                f"{path}: {value} is reserved for {owner}: its Pods will be refused"
                for path, value, owner in reserved_ports(template, self._reserved)
            ]


class DenyServiceExternalIPs(Plugin):
    """A Service may keep or give up external addresses it has; new ones only where the operator allows them."""

    places = frozenset({("", "services")})
    operations = WRITES
    subresources = ITSELF

    def __init__(self, reserved: Reserved, *, is_allowed: bool) -> None:
        self._reserved = reserved
        self._is_allowed = is_allowed

    async def validate(self, request: AdmissionRequest) -> None:
        wanted = request.new["spec"].get("externalIPs") or []
        if wanted:
            request.warnings.append(EXTERNAL_IPS_DEPRECATED)
        had = ((request.old or {}).get("spec") or {}).get("externalIPs") or []
        added = [(index, address) for index, address in enumerate(wanted) if address not in had]
        if added and not self._is_allowed:
            raise errors.forbidden(request.resource, request.name, "Use of external IPs is denied by admission control")
        causes = [
            errors.cause("FieldValueInvalid", f"spec.externalIPs[{index}]", f'Invalid value: "{address}": is reserved for {owner}')
            for index, address in added if (owner := self._reserved.foreign_owner(address))
        ]
        if causes:
            raise errors.invalid("", "Service", request.name, causes)
