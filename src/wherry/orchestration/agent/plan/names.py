"""What a pod is called and how it finds others: host name, /etc/hosts, /etc/resolv.conf. Pure.

Spec: k8s.io/docs/concepts/services-networking/dns-pod-service; limits: 3 name servers, 32 search paths, 2048 characters.
"""

from dataclasses import dataclass

from wherry.orchestration.agent.facts.pod import is_host_network, spec_of
from wherry.orchestration.objects.meta import Object, name_of, namespace_of

NAMESERVERS_MAX = 3
SEARCHES_MAX = 32
SEARCH_CHARACTERS_MAX = 2048
HOSTNAME_MAX = 63
FQDN_MAX = 64


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The three kinds of line in resolv.conf(5) that matter here."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def text(self) -> str:
        """As the file."""
        lines = [f"nameserver {server}" for server in self.nameservers]
        if self.searches:
            lines.insert(0, "search " + " ".join(self.searches))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "\n".join(lines) + "\n"


def parse_resolv_conf(text: str) -> ResolvConf:
    """Later `search` and `options` lines replace earlier ones, as the resolver does."""
    nameservers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words:
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search" | "domain", *domains]:
                searches = tuple(domains)
            case ["options", *given]:
                options = tuple(given)
    return ResolvConf(tuple(nameservers), searches, options)


def resolv_conf(pod: Object, host: ResolvConf, *, cluster_dns: tuple[str, ...], domain: str) -> ResolvConf:
    """By dnsPolicy, with dnsConfig added."""
    policy = str(spec_of(pod).get("dnsPolicy") or "ClusterFirst")
    is_cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not is_host_network(pod))
    if policy == "None":
        found = ResolvConf()
    elif is_cluster and cluster_dns:
        own = (f"{namespace_of(pod)}.svc.{domain}", f"svc.{domain}", domain)
        found = ResolvConf(cluster_dns, (*own, *host.searches), ("ndots:5",))
    else:
        found = host
    return _limited(_with_config(found, spec_of(pod).get("dnsConfig") or {}))


def _with_config(found: ResolvConf, config: Object) -> ResolvConf:
    options = {option.partition(":")[0]: option for option in found.options}
    for option in config.get("options") or ():
        name, value = str(option.get("name", "")), option.get("value")
        options[name] = name if value is None else f"{name}:{value}"
    return ResolvConf(
        _unique((*found.nameservers, *map(str, config.get("nameservers") or ()))),
        _unique((*found.searches, *map(str, config.get("searches") or ()))),
        tuple(options.values()),
    )


def _limited(found: ResolvConf) -> ResolvConf:
    searches: list[str] = []
    for domain in found.searches[:SEARCHES_MAX]:
        if len(" ".join([*searches, domain])) > SEARCH_CHARACTERS_MAX:
            break
        searches.append(domain)
    return ResolvConf(found.nameservers[:NAMESERVERS_MAX], tuple(searches), found.options)


def _unique(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def hostname(pod: Object) -> str:
    """The short host name: spec.hostname or the pod's name, at most 63 characters."""
    spec = spec_of(pod)
    if override := spec.get("hostnameOverride"):
        return str(override)
    return str(spec.get("hostname") or name_of(pod))[:HOSTNAME_MAX].rstrip("-.")


def host_domain(pod: Object, domain: str) -> str:
    """`subdomain.namespace.svc.domain`, "" without a subdomain."""
    spec = spec_of(pod)
    if spec.get("hostnameOverride") or not spec.get("subdomain"):
        return ""
    return f"{spec['subdomain']}.{namespace_of(pod)}.svc.{domain}"


def kernel_hostname(pod: Object, domain: str, *, node_name: str) -> str:
    """What `hostname` prints inside; the node's name on the host network."""
    if is_host_network(pod) and not spec_of(pod).get("hostnameOverride"):
        return node_name
    short, long_part = hostname(pod), host_domain(pod, domain)
    if spec_of(pod).get("setHostnameAsFQDN") and long_part:
        return f"{short}.{long_part}"
    return short


def hosts_file(pod: Object, *, address: str, domain: str, host_file: str = "") -> str:
    """/etc/hosts of a pod; on the host network the host's own file with the aliases added."""
    aliases = spec_of(pod).get("hostAliases") or ()
    if is_host_network(pod):
        text = "# Kubernetes-managed hosts file (host network).\n" + host_file
    else:
        text = (
            "# Kubernetes-managed hosts file.\n"
            "127.0.0.1\tlocalhost\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "fe00::0\tip6-localnet\n"
            "fe00::0\tip6-mcastprefix\n"
            "fe00::1\tip6-allnodes\n"
            "fe00::2\tip6-allrouters\n"
        )
        short, long_part = hostname(pod), host_domain(pod, domain)
        if address:
            text += f"{address}\t{short}.{long_part}\t{short}\n" if long_part else f"{address}\t{short}\n"
    if aliases:
        lines = [f"{alias.get('ip', '')}\t" + "\t".join(map(str, alias.get("hostnames") or ())) for alias in aliases]
        text += "\n# Entries added by HostAliases.\n" + "\n".join(lines) + "\n"
    return text
