"""What the built-in kinds are: `sheet_of` finds the sheet of a resource, `SHEETS` has them all."""

from wherry.orchestration.apiserver.sheets import (
    admissionregistration,
    apiextensions,
    apiregistration,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    certificates,
    coordination,
    core,
    discovery,
    events,
    flowcontrol,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
    storagemigration,
)
from wherry.orchestration.apiserver.sheets.sheet import Sheet
from wherry.orchestration.objects.resources import Resource

_GROUPS = (
    admissionregistration,
    apiextensions,
    apiregistration,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    certificates,
    coordination,
    core,
    discovery,
    events,
    flowcontrol,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
    storagemigration,
)
SHEETS: tuple[Sheet, ...] = tuple(sheet for group in _GROUPS for sheet in group.SHEETS)
_BY_RESOURCE = {sheet.resource: sheet for sheet in SHEETS}


def sheet_of(resource: Resource) -> Sheet:
    """The sheet of a built-in resource."""
    return _BY_RESOURCE[resource]
