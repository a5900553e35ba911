"""What the kinds of resource.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain, same
from wherry.orchestration.apiserver.tables import storage
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.DEVICE_CLASSES, "A kind of device that claims can ask for.", strategy=plain(tracks_generation=True),
        columns=storage.DEVICE_CLASS),
    Sheet(kinds.DEVICE_TAINT_RULES, "Keeps claims away from devices.", strategy=plain(tracks_generation=True)),
    Sheet(kinds.RESOURCE_CLAIMS, "A request for devices.", columns=storage.RESOURCE_CLAIM),
    Sheet(kinds.RESOURCE_CLAIM_TEMPLATES, "A ResourceClaim made for each pod.", columns=storage.RESOURCE_CLAIM_TEMPLATE),
    Sheet(
        kinds.RESOURCE_SLICES, "Devices that a driver offers on a node.", strategy=plain(tracks_generation=True),
        columns=storage.RESOURCE_SLICE, fields=same("spec.nodeName", "spec.driver")),
)
