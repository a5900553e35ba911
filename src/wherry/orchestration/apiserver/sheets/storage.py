"""What the kinds of storage.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import storage
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.CSI_DRIVERS, "A volume driver, and what it can do.", strategy=plain(tracks_generation=True, needs_revision=True),
        columns=storage.CSI_DRIVER),
    Sheet(kinds.CSI_NODES, "The volume drivers of a node.", columns=storage.CSI_NODE),
    Sheet(
        kinds.CSI_STORAGE_CAPACITIES, "How much room a storage class has somewhere.", strategy=plain(needs_revision=True),
        columns=storage.CSI_STORAGE_CAPACITY),
    Sheet(kinds.STORAGE_CLASSES, "A way to make volumes on demand.", columns=storage.STORAGE_CLASS),
    Sheet(kinds.VOLUME_ATTACHMENTS, "A volume that is, or is to be, attached to a node.", columns=storage.VOLUME_ATTACHMENT),
    Sheet(
        kinds.VOLUME_ATTRIBUTES_CLASSES, "Attributes of volumes that can be changed later.",
        columns=storage.VOLUME_ATTRIBUTES_CLASS),
)
