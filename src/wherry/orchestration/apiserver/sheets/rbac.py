"""What the kinds of rbac.authorization.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import access
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.CLUSTER_ROLE_BINDINGS, "Gives a role to users in the whole cluster.", strategy=plain(creates_on_update=True),
        columns=access.BINDING),
    Sheet(kinds.CLUSTER_ROLES, "Permissions in the whole cluster.", strategy=plain(creates_on_update=True)),
    Sheet(
        kinds.ROLE_BINDINGS, "Gives a role to users inside a namespace.", strategy=plain(creates_on_update=True),
        columns=access.BINDING),
    Sheet(kinds.ROLES, "Permissions inside a namespace.", strategy=plain(creates_on_update=True)),
)
