"""Checks of Services, endpoints, Ingress and network policies.

Spec: pkg/apis/{core,discovery,networking}/validation.
"""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.containers import PROTOCOLS
from wherry.orchestration.objects.validation.metadata import IMMUTABLE, check_labels, check_selector
from wherry.orchestration.objects.validation.pods import IP_WRONG

SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
AFFINITY_SECONDS_MAX = 86400
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def service(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    kind = spec.get("type")
    found.one_of("spec.type", kind, SERVICE_TYPES)
    is_headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and not is_headless and kind != "ExternalName":
        found.required("spec.ports")
    _check_service_ports(spec, found)
    check_labels(spec.get("selector"), "spec.selector", found)
    if kind == "LoadBalancer" and is_headless:
        found.invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services")
    elif kind == "NodePort" and is_headless:
        found.invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for NodePort services")
    _check_external_name(spec, found)
    _check_affinity(spec, found)
    _check_addresses(spec, found)
    _check_traffic(spec, found)
    if old is not None:
        _check_service_update(spec, old.get("spec") or {}, found)


def _check_service_ports(spec: Object, found: Causes) -> None:
    ports = spec.get("ports") or ()
    seen_names: set[str] = set()
    seen_ports: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        path, name = f"spec.ports[{index}]", port.get("name") or ""
        if not name and len(ports) > 1:
            found.required(f"{path}.name")
        elif name:
            found.invalid_each(f"{path}.name", name, names.label_wrong(name))
            if name in seen_names:
                found.duplicate(f"{path}.name", name)
            seen_names.add(name)
        if port.get("port") not in names.PORT_RANGE:
            found.invalid(f"{path}.port", port.get("port") or 0, names.PORT_WRONG)
        found.one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
        _check_target(port.get("targetPort"), f"{path}.targetPort", found)
        node_port = port.get("nodePort") or 0
        if node_port and spec.get("type") in ("ClusterIP", "ExternalName"):
            found.forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
        elif node_port and node_port not in names.PORT_RANGE:
            found.invalid(f"{path}.nodePort", node_port, names.PORT_WRONG)
        if protocol_name := port.get("appProtocol"):
            found.invalid_each(f"{path}.appProtocol", protocol_name, names.qualified_wrong(protocol_name))
        key = (port.get("protocol"), port.get("port"))
        if key in seen_ports:
            found.duplicate(path, {"protocol": key[0], "port": key[1]})
        seen_ports.add(key)


def _check_target(target: Any, path: str, found: Causes) -> None:
    if isinstance(target, str):
        found.invalid_each(path, target, names.port_name_wrong(target))
    elif target not in names.PORT_RANGE:
        found.invalid(path, target or 0, names.PORT_WRONG)


def _check_external_name(spec: Object, found: Causes) -> None:
    if spec.get("type") != "ExternalName":
        return
    if spec.get("clusterIP"):
        found.forbidden("spec.clusterIPs", "may not be set for ExternalName services")
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        found.required("spec.externalName")
    else:
        found.invalid_each("spec.externalName", name, names.subdomain_wrong(name))


def _check_affinity(spec: Object, found: Causes) -> None:
    affinity = spec.get("sessionAffinity")
    found.one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    if affinity == "ClientIP":
        seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is not None and not 0 < seconds <= AFFINITY_SECONDS_MAX:
            text = f"must be greater than 0 and less than {AFFINITY_SECONDS_MAX}"
            found.invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, text)
    elif spec.get("sessionAffinityConfig"):
        text = "must not be set when session affinity is None"
        found.forbidden("spec.sessionAffinityConfig", text)


def _check_addresses(spec: Object, found: Causes) -> None:
    cluster_ips = spec.get("clusterIPs") or ()
    for index, address in enumerate(cluster_ips):
        if address not in ("None", "") and names.address_of(address) is None:
            found.invalid(f"spec.clusterIPs[{index}]", address, IP_WRONG)
    if cluster_ips and spec.get("clusterIP") and cluster_ips[0] != spec["clusterIP"]:
        found.invalid("spec.clusterIPs", list(cluster_ips), "first value must match `clusterIP`")
    if len(cluster_ips) > 2:
        found.invalid("spec.clusterIPs", list(cluster_ips), "may only hold up to 2 values")
    for index, address in enumerate(spec.get("externalIPs") or ()):
        parsed = names.address_of(address)
        if parsed is None:
            found.invalid(f"spec.externalIPs[{index}]", address, IP_WRONG)
        elif parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local:
            text = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
            found.invalid(f"spec.externalIPs[{index}]", address, text)
    for index, cidr in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        if not is_cidr(cidr.strip()):
            found.invalid(f"spec.loadBalancerSourceRanges[{index}]", cidr, CIDR_WRONG)


CIDR_WRONG = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def is_cidr(text: str) -> bool:
    """`10.0.0.0/8`; host bits are let through as upstream does."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _check_traffic(spec: Object, found: Causes) -> None:
    kind = spec.get("type")
    external = spec.get("externalTrafficPolicy") or ""
    if external:
        if kind not in ("NodePort", "LoadBalancer") and not spec.get("externalIPs"):
            text = "may only be set for externally-accessible services"
            found.invalid("spec.externalTrafficPolicy", external, text)
        elif external not in ("Cluster", "Local"):
            found.not_supported("spec.externalTrafficPolicy", external, ("Cluster", "Local"))
    found.one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"), is_required=False)
    if spec.get("allocateLoadBalancerNodePorts") is not None and kind != "LoadBalancer":
        text = "may only be used when `type` is 'LoadBalancer'"
        found.forbidden("spec.allocateLoadBalancerNodePorts", text)
    if spec.get("loadBalancerClass") and kind != "LoadBalancer":
        found.forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")
    if spec.get("healthCheckNodePort") and not (kind == "LoadBalancer" and external == "Local"):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found.invalid("spec.healthCheckNodePort", spec["healthCheckNodePort"], text)


def _check_service_update(spec: Object, before: Object, found: Causes) -> None:
    """A cluster IP stays, unless the Service turns into an ExternalName or back."""
    if spec.get("type") == "ExternalName" or before.get("type") == "ExternalName" or not before.get("clusterIP"):
        return
    if spec.get("clusterIP") != before["clusterIP"]:
        found.invalid("spec.clusterIPs[0]", spec.get("clusterIPs") or None, "may not change once set")
    stays_balancer = spec.get("type") == "LoadBalancer" == before.get("type")
    balancer_class = before.get("loadBalancerClass")
    if stays_balancer and balancer_class and spec.get("loadBalancerClass") != balancer_class:
        found.invalid("spec.loadBalancerClass", spec.get("loadBalancerClass"), "may not change once set")


def endpoints(obj: Object, old: Object | None, found: Causes) -> None:
    for index, subset in enumerate(obj.get("subsets") or ()):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.required(path, "must specify `addresses` or `notReadyAddresses`")
        for key in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(key) or ()):
                check_endpoint_address(address.get("ip") or "", f"{path}.{key}[{place}].ip", found)
        _check_endpoint_ports(subset.get("ports") or (), f"{path}.ports", found, need_names=True)


def check_endpoint_address(text: str, path: str, found: Causes) -> None:
    """An address traffic may be sent to."""
    address = names.address_of(text)
    if address is None:
        found.invalid(path, text, IP_WRONG)
        return
    ranges = (
        (address.is_unspecified, f"may not be unspecified ({text})"),
        (address.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (address.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (address.is_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    )
    found.invalid_each(path, text, [wrong for is_in, wrong in ranges if is_in])


def _check_endpoint_ports(ports: Any, path: str, found: Causes, *, need_names: bool) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        place, name = f"{path}[{index}]", port.get("name") or ""
        if need_names and len(ports) > 1 and not name:
            found.required(f"{place}.name")
        if name:
            found.invalid_each(f"{place}.name", name, names.label_wrong(name))
        if name in seen and not need_names:
            found.duplicate(f"{place}.name", name)
        seen.add(name)
        if port.get("port") is not None and port["port"] not in names.PORT_RANGE:
            found.invalid(f"{place}.port", port["port"], names.PORT_WRONG)
        found.one_of(f"{place}.protocol", port.get("protocol"), PROTOCOLS)


def endpoint_slice(obj: Object, old: Object | None, found: Causes) -> None:
    kind = obj.get("addressType")
    found.one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"))
    for index, endpoint in enumerate(obj.get("endpoints") or ()):
        path = f"endpoints[{index}].addresses"
        addresses = endpoint.get("addresses") or ()
        if not addresses:
            found.required(path, "must contain at least 1 address")
        if len(addresses) > 100:
            found.too_many(path, len(addresses), 100)
        for place, address in enumerate(addresses):
            if kind == "FQDN":
                found.invalid_each(f"{path}[{place}]", address, names.subdomain_wrong(address))
            else:
                _check_family(address, str(kind), f"{path}[{place}]", found)
    _check_endpoint_ports(obj.get("ports") or (), "ports", found, need_names=False)
    if old is not None and kind != old.get("addressType"):
        found.invalid("addressType", kind, IMMUTABLE)


def _check_family(text: str, kind: str, path: str, found: Causes) -> None:
    address = names.address_of(text)
    if address is None or f"IPv{address.version}" != kind:
        found.invalid(path, text, f"must be a valid {kind} address")
    else:
        check_endpoint_address(text, path, found)


def ingress(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    rules, default = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and default is None:
        found.invalid("spec", spec, "either `defaultBackend` or `rules` must be specified")
    if default is not None:
        _check_backend(default, "spec.defaultBackend", found)
    if class_name := spec.get("ingressClassName"):
        found.invalid_each("spec.ingressClassName", class_name, names.subdomain_wrong(class_name))
    for index, tls in enumerate(spec.get("tls") or ()):
        for place, host in enumerate(tls.get("hosts") or ()):
            _check_host(host, f"spec.tls[{index}].hosts[{place}]", found)
    for index, rule in enumerate(rules):
        path, host = f"spec.rules[{index}]", rule.get("host") or ""
        if names.address_of(host) is not None:
            found.invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        elif host:
            _check_host(host, f"{path}.host", found)
        if rule.get("http") is not None:
            _check_paths(rule["http"].get("paths") or (), f"{path}.http.paths", found)


def _check_host(host: str, path: str, found: Causes) -> None:
    plain = host[2:] if host.startswith("*.") else host
    found.invalid_each(path, host, names.subdomain_wrong(plain))


def _check_paths(paths: Any, where: str, found: Causes) -> None:
    if not paths:
        found.required(where)
    for index, item in enumerate(paths):
        path, text, kind = f"{where}[{index}]", item.get("path") or "", item.get("pathType")
        if not kind:
            found.required(f"{path}.pathType", "pathType must be specified")
        elif kind not in PATH_TYPES:
            found.not_supported(f"{path}.pathType", kind, PATH_TYPES)
        if kind in ("Exact", "Prefix"):
            if not text.startswith("/"):
                found.invalid(f"{path}.path", text, "must be an absolute path")
            for part in ("//", "/./", "/../", "%2f", "%2F"):
                if part in text:
                    found.invalid(f"{path}.path", text, f"must not contain '{part}'")
            for part in ("/..", "/."):
                if text.endswith(part):
                    found.invalid(f"{path}.path", text, f"cannot end with '{part}'")
        elif text and not text.startswith("/"):
            found.invalid(f"{path}.path", text, "must be an absolute path")
        _check_backend(item.get("backend") or {}, f"{path}.backend", found)


def _check_backend(backend: Object, path: str, found: Causes) -> None:
    target, resource = backend.get("service"), backend.get("resource")
    if target is not None and resource is not None:
        found.invalid(path, "", "cannot set both resource and service backends")
    elif target is None and resource is None:
        found.required(path, "must specify a resource or service backend")
    elif target is not None:
        name, port = target.get("name") or "", target.get("port") or {}
        if not name:
            found.required(f"{path}.service.name")
        else:
            found.invalid_each(f"{path}.service.name", name, names.label_1035_wrong(name))
        if port.get("name") and port.get("number"):
            found.invalid(path, "", "cannot set both port name & port number")
        elif port.get("name"):
            found.invalid_each(f"{path}.service.port.name", port["name"], names.label_wrong(port["name"]))
        elif not port.get("number"):
            found.required(path, "port name or number is required")
        elif port["number"] not in names.PORT_RANGE:
            found.invalid(f"{path}.service.port.number", port["number"], names.PORT_WRONG)


def ingress_class(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    controller = spec.get("controller") or ""
    if not controller:
        found.required("spec.controller")
    elif "/" not in controller:
        found.invalid("spec.controller", controller, "must be a domain-prefixed path (such as \"acme.io/foo\")")
    if old is not None:
        found.unchanged("spec.controller", controller, (old.get("spec") or {}).get("controller"))


def network_policy(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    check_selector(spec.get("podSelector"), "spec.podSelector", found)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            _check_policy_ports(rule.get("ports") or (), f"{path}.ports", found)
            for place, peer in enumerate(rule.get(peers) or ()):
                _check_peer(peer, f"{path}.{peers}[{place}]", found)
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            found.not_supported(f"spec.policyTypes[{index}]", kind, ("Egress", "Ingress"))


def _check_policy_ports(ports: Iterable[Object], path: str, found: Causes) -> None:
    for index, port in enumerate(ports):
        place = f"{path}[{index}]"
        found.one_of(f"{place}.protocol", port.get("protocol"), PROTOCOLS, is_required=False)
        if port.get("port") is not None:
            _check_target(port["port"], f"{place}.port", found)
            end = port.get("endPort")
            if end is not None and isinstance(port["port"], str):
                found.invalid(f"{place}.endPort", end, "may not be specified when `port` is non-numeric")
            elif end is not None and end < port["port"]:
                found.invalid(f"{place}.endPort", end, "must be greater than or equal to `port`")
        elif port.get("endPort") is not None:
            found.required(f"{place}.port", "may not be specified without `port`")


def _check_peer(peer: Object, path: str, found: Causes) -> None:
    given = [key for key in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(key) is not None]
    if not given:
        found.required(path, "must specify a peer")
    elif "ipBlock" in given and len(given) > 1:
        found.forbidden(path, "may not specify both ipBlock and another peer")
    for key in ("podSelector", "namespaceSelector"):
        check_selector(peer.get(key), f"{path}.{key}", found)
    if (block := peer.get("ipBlock")) is None:
        return
    if not block.get("cidr"):
        found.required(f"{path}.ipBlock.cidr")
        return
    if not is_cidr(block["cidr"]):
        found.invalid(f"{path}.ipBlock.cidr", block["cidr"], CIDR_WRONG)
        return
    outer = ip_network(block["cidr"], strict=False)
    for index, text in enumerate(block.get("except") or ()):
        place = f"{path}.ipBlock.except[{index}]"
        if not is_cidr(text):
            found.invalid(place, text, CIDR_WRONG)
        elif not _is_inside(text, str(outer)):
            found.invalid(place, text, "must be a strict subset of `cidr`")


def _is_inside(inner: str, outer: str) -> bool:
    small, large = ip_network(inner, strict=False), ip_network(outer, strict=False)
    if small.version != large.version or small.prefixlen <= large.prefixlen:
        return False
    return int(large.network_address) <= int(small.network_address) <= int(large.broadcast_address)


def ip_address(obj: Object, old: Object | None, found: Causes) -> None:
    if names.address_of(name_of(obj)) is None:
        found.invalid("metadata.name", name_of(obj), "must be a valid address in canonical form")
    if not (obj.get("spec") or {}).get("parentRef"):
        found.required("spec.parentRef")


def service_cidr(obj: Object, old: Object | None, found: Causes) -> None:
    cidrs = (obj.get("spec") or {}).get("cidrs") or ()
    if not cidrs:
        found.required("spec.cidrs", "at least one CIDR required")
    for index, cidr in enumerate(cidrs):
        if not is_cidr(cidr):
            found.invalid(f"spec.cidrs[{index}]", cidr, CIDR_WRONG)
    if old is not None:
        found.unchanged("spec.cidrs", list(cidrs), (old.get("spec") or {}).get("cidrs"))


_NETWORKING = "networking.k8s.io"
VALIDATORS = {
    ("", "Service"): service,
    ("", "Endpoints"): endpoints,
    ("discovery.k8s.io", "EndpointSlice"): endpoint_slice,
    (_NETWORKING, "Ingress"): ingress,
    (_NETWORKING, "IngressClass"): ingress_class,
    (_NETWORKING, "NetworkPolicy"): network_policy,
    (_NETWORKING, "IPAddress"): ip_address,
    (_NETWORKING, "ServiceCIDR"): service_cidr,
}
