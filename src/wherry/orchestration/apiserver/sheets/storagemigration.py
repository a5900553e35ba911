"""What the kinds of storagemigration.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.STORAGE_VERSION_MIGRATIONS, "A request to store objects of a kind in the newest version."),
)
