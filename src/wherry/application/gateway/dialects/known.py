"""The dialects that are there, in the order in which they win ties over a port."""

from wherry.application.gateway.dialects.gateway_api.dialect import GatewayApiDialect
from wherry.application.gateway.dialects.ingress import IngressDialect
from wherry.application.gateway.model.contract import Dialect
from wherry.application.gateway.model.settings import GatewaySettings


def dialects_for(settings: GatewaySettings) -> tuple[Dialect, ...]:
    """One of each."""
    return (
        IngressDialect(settings.addresses),
        GatewayApiDialect(settings.addresses, settings.unlisted_ports),
    )
