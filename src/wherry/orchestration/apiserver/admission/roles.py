"""Nobody grants rights they do not have: the RBAC escalation check on writes of roles and bindings."""

from wherry.orchestration.apiserver.admission.chain import WRITES, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.auth.escalation import EscalationCheck

GROUP = "rbac.authorization.k8s.io"


class RoleEscalation(Plugin):
    """See the module docstring."""

    places = frozenset((GROUP, plural) for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"))
    operations = WRITES

    def __init__(self, check: EscalationCheck) -> None:
        self._check = check

    async def validate(self, request: AdmissionRequest) -> None:
        self._check.check(request.user, request.resource, request.new, request.old)
