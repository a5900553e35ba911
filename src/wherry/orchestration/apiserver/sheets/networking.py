"""What the kinds of networking.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import network
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.IP_ADDRESSES, "A Service address that is taken, and by whom.", columns=network.IP_ADDRESS),
    Sheet(
        kinds.INGRESS_CLASSES, "Which controller serves an Ingress.", strategy=plain(tracks_generation=True),
        columns=network.INGRESS_CLASS),
    Sheet(
        kinds.INGRESSES, "Rules that lead HTTP requests from outside to Services.",
        strategy=plain(tracks_generation=True, initial_status={"loadBalancer": {}}), columns=network.INGRESS),
    Sheet(
        kinds.NETWORK_POLICIES, "Which traffic pods may receive and send.", strategy=plain(tracks_generation=True),
        columns=network.NETWORK_POLICY),
    Sheet(kinds.SERVICE_CIDRS, "A range that Services get their addresses from.", columns=network.SERVICE_CIDR),
)
