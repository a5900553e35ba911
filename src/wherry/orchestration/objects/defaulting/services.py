"""Defaults of Services, endpoints, and networking.k8s.io/v1.

Spec: pkg/apis/{core,networking,discovery}/v1 defaults of Kubernetes 1.37; IP families as a single-stack IPv4 cluster has them.
Never: allocates cluster IPs or node ports.
"""

from wherry.orchestration.objects.defaulting.fill import each, fill, section
from wherry.orchestration.objects.meta import Object

AFFINITY_TIMEOUT_S = 10800


def _service(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, type="ClusterIP", sessionAffinity="None")
    for port in each(spec, "ports"):
        fill(port, protocol="TCP")
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port", 0)
    _fill_affinity(spec)
    _fill_policies(spec)
    _fill_families(spec)
    balancer = section(section(obj, "status"), "loadBalancer")
    for ingress in each(balancer, "ingress"):
        if ingress.get("ip"):
            fill(ingress, ipMode="VIP")


def _fill_affinity(spec: Object) -> None:
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        fill(section(section(spec, "sessionAffinityConfig"), "clientIP"), timeoutSeconds=AFFINITY_TIMEOUT_S)


def _fill_policies(spec: Object) -> None:
    kind = spec["type"]
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        fill(spec, externalTrafficPolicy="Cluster")
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        fill(spec, internalTrafficPolicy="Cluster")
    if kind == "LoadBalancer":
        fill(spec, allocateLoadBalancerNodePorts=True)


def _fill_families(spec: Object) -> None:
    if spec["type"] == "ExternalName":
        return
    if spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    elif spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    fill(spec, ipFamilyPolicy="SingleStack")
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = ["IPv4"]


def _endpoints(obj: Object) -> None:
    for subset in each(obj, "subsets"):
        for port in each(subset, "ports"):
            fill(port, protocol="TCP")


def _endpoint_slice(obj: Object) -> None:
    for port in each(obj, "ports"):
        fill(port, protocol="TCP")
        if port.get("name") is None:
            port["name"] = ""


def _ingress(obj: Object) -> None:
    section(section(obj, "status"), "loadBalancer")


def _ingress_class(obj: Object) -> None:
    if isinstance(parameters := section(obj, "spec").get("parameters"), dict):
        fill(parameters, scope="Cluster")


def _network_policy(obj: Object) -> None:
    spec = section(obj, "spec")
    for rule in [*each(spec, "ingress"), *each(spec, "egress")]:
        for port in each(rule, "ports"):
            fill(port, protocol="TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


DEFAULTERS = {
    ("", "Service"): _service,
    ("", "Endpoints"): _endpoints,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("networking.k8s.io", "IngressClass"): _ingress_class,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
}
