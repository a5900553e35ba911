"""What the kinds of discovery.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import network
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.ENDPOINT_SLICES, "A part of the addresses behind a Service.",
        strategy=plain(tracks_generation=True, needs_revision=True), columns=network.ENDPOINT_SLICE),
)
