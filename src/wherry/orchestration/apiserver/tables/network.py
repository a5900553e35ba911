"""Rows of Services, their endpoints, Ingresses and the other network kinds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wherry.orchestration.apiserver.tables.columns import (
    NONE,
    UNSET,
    Cells,
    age,
    first_few,
    labels_text,
    printer,
    selector_text,
    spec_of,
    status_of,
)
from wherry.orchestration.objects.meta import Object, name_of

_SHOWN_MAX = 3


def _service(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    ports = ",".join(map(_port, spec.get("ports") or ())) or NONE
    return [name_of(obj), spec.get("type", ""), spec.get("clusterIP") or NONE, _external_ip(obj), ports, age(obj, now),
            labels_text(spec.get("selector"))]


def _port(port: Mapping[str, Any]) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port', '')}{node_port}/{port.get('protocol', 'TCP')}"


def _external_ip(obj: Object) -> str:
    spec = spec_of(obj)
    external = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            assigned = _ingress_addresses(obj)
            return ",".join([*assigned, *external]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return "<unknown>"


def _ingress_addresses(obj: Object) -> list[str]:
    entries = (status_of(obj).get("loadBalancer") or {}).get("ingress") or ()
    return sorted({entry.get("ip") or entry.get("hostname") or "" for entry in entries} - {""})


def _endpoints(obj: Object, now: datetime) -> Cells:
    pairs = [
        _host_port(address.get("ip", ""), port.get("port", 0))
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return [name_of(obj), first_few(pairs, _SHOWN_MAX, "" if obj.get("subsets") else NONE), age(obj, now)]


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _endpoint_slice(obj: Object, now: datetime) -> Cells:
    ports = ["*" if port.get("port") is None else str(port["port"]) for port in obj.get("ports") or ()]
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [name_of(obj), obj.get("addressType", ""), first_few(ports, _SHOWN_MAX, UNSET),
            first_few(addresses, _SHOWN_MAX, UNSET), age(obj, now)]


def _ingress(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    rules = spec.get("rules") or ()
    hosts = [rule["host"] for rule in rules[:_SHOWN_MAX] if rule.get("host")]
    shown = ",".join(hosts) or "*"
    if hosts and len(rules) > _SHOWN_MAX:
        shown += f" + {len(rules) - _SHOWN_MAX} more..."
    return [name_of(obj), spec.get("ingressClassName") or NONE, shown, ",".join(_ingress_addresses(obj)),
            "80, 443" if spec.get("tls") else "80", age(obj, now)]


def _ingress_class(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    parameters = spec.get("parameters")
    text = NONE
    if parameters:
        group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
        text = f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"
    return [name_of(obj), spec.get("controller", ""), text, age(obj, now)]


def _network_policy(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), selector_text(spec_of(obj).get("podSelector")), age(obj, now)]


def _service_cidr(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), ",".join(spec_of(obj).get("cidrs") or ()), age(obj, now)]


def _ip_address(obj: Object, now: datetime) -> Cells:
    ref = spec_of(obj).get("parentRef") or {}
    group = f".{ref['group']}" if ref.get("group") else ""
    parent = "/".join(part for part in (f"{ref.get('resource', '')}{group}", ref.get("namespace"), ref.get("name")) if part)
    return [name_of(obj), parent, age(obj, now)]


SERVICE = printer("Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*", _service)
ENDPOINTS = printer("Name|Endpoints|Age", _endpoints)
ENDPOINT_SLICE = printer("Name|AddressType|Ports|Endpoints|Age", _endpoint_slice)
INGRESS = printer("Name|Class|Hosts|Address|Ports|Age", _ingress)
INGRESS_CLASS = printer("Name|Controller|Parameters|Age", _ingress_class)
NETWORK_POLICY = printer("Name|Pod-Selector|Age", _network_policy)
SERVICE_CIDR = printer("Name|CIDRs|Age", _service_cidr)
IP_ADDRESS = printer("Name|ParentRef|Age", _ip_address)
