"""What is stored and has no effect in this version: one row a kind, so that nobody has to find out.

In:    an object of a built-in kind.
Out:   the sentence a user gets, "" when the object does all that it says.
Rule:  what restricts access is refused (`REFUSE`); everything else is stored, and its writer is told (`WARN`).
Never: names a thing that some part of this program acts on. A capability that lands takes its row away.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

REFUSE, WARN = "refuse", "warn"
REASON = "NotEnforced"  # of Events and conditions
ANNOTATION = "wherry.dev/not-enforced"  # on a CustomResourceDefinition: what to tell writers of its custom resources


@dataclass(frozen=True, slots=True)
class Row:
    """`says` is pure and gives "" for objects that are enforced in full."""

    resource: Resource
    says: Callable[[Object], str]
    effect: str = WARN


def _always(sentence: str) -> Callable[[Object], str]:
    return lambda _: sentence


def rules_in(crd: Object) -> int:
    """How many CEL rules the schemas of a CustomResourceDefinition hold."""
    return sum(_rules((version.get("schema") or {}).get("openAPIV3Schema") or {})
               for version in (crd.get("spec") or {}).get("versions") or ())


def _rules(schema: object) -> int:
    count, waiting = 0, [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            found = value.get("x-kubernetes-validations")
            count += len(found) if isinstance(found, list) else 0
            waiting += [inner for key, inner in value.items() if key not in ("default", "example", "enum")]
        elif isinstance(value, list):
            waiting += value
    return count


def _definition(crd: Object) -> str:
    count = rules_in(crd)
    if not count:
        return ""
    rules = "1 validation rule (CEL) is" if count == 1 else f"{count} validation rules (CEL) are"
    return f"x-kubernetes-validations: {rules} stored and not evaluated by this version; the rest of the schema is"


def _webhooks(configuration: Object) -> str:
    names = [str(hook.get("name")) for hook in configuration.get("webhooks") or () if hook.get("matchConditions")]
    return (f"matchConditions (CEL) of {', '.join(names)} are not evaluated by this version: the webhook is called for every "
            "request that its rules match") if names else ""


def _service_cidr(obj: Object) -> str:
    if obj["metadata"].get("name") == "kubernetes":
        return ""
    return "a ServiceCIDR beyond the cluster's own is not used by this version: no Service gets an address of it"


_POLICY = ("CEL is not evaluated by this version: requests that a bound policy matches are refused where its failurePolicy "
           "is Fail and its action is Deny or a mutation, and pass with a warning otherwise")
_DEVICES = "dynamic resource allocation is not part of this version: no claim is allocated, and pods that need one stay Pending"
_FAIRNESS = "API priority and fairness is not part of this version: requests are queued by user, not by this object"
_SCALING = "autoscaling is not part of this version: nothing scales the target of this HorizontalPodAutoscaler"

NETWORK_POLICY = (
    "NetworkPolicy is not enforced by this version: traffic would pass that this object forbids. "
    "A cluster started with --unenforced-policies warn accepts it without effect")

ROWS: tuple[Row, ...] = (
    Row(kinds.NETWORK_POLICIES, _always(NETWORK_POLICY), REFUSE),
    Row(kinds.VALIDATING_ADMISSION_POLICIES, _always(_POLICY)),
    Row(kinds.VALIDATING_ADMISSION_POLICY_BINDINGS, _always(_POLICY)),
    Row(kinds.MUTATING_ADMISSION_POLICIES, _always(_POLICY)),
    Row(kinds.MUTATING_ADMISSION_POLICY_BINDINGS, _always(_POLICY)),
    Row(kinds.VALIDATING_WEBHOOK_CONFIGURATIONS, _webhooks),
    Row(kinds.MUTATING_WEBHOOK_CONFIGURATIONS, _webhooks),
    Row(kinds.CUSTOM_RESOURCE_DEFINITIONS, _definition),
    Row(kinds.HORIZONTAL_POD_AUTOSCALERS, _always(_SCALING)),
    Row(kinds.HORIZONTAL_POD_AUTOSCALERS_V1, _always(_SCALING)),
    Row(kinds.POD_CERTIFICATE_REQUESTS, _always("no signer runs in this version: no certificate is issued")),
    Row(kinds.CLUSTER_TRUST_BUNDLES, _always(
        "clusterTrustBundle volumes are not part of this version: no pod gets this bundle")),
    Row(kinds.SERVICE_CIDRS, _service_cidr),
    Row(kinds.FLOW_SCHEMAS, _always(_FAIRNESS)),
    Row(kinds.PRIORITY_LEVEL_CONFIGURATIONS, _always(_FAIRNESS)),
    Row(kinds.RESOURCE_CLAIMS, _always(_DEVICES)),
    Row(kinds.RESOURCE_CLAIM_TEMPLATES, _always(_DEVICES)),
    Row(kinds.RESOURCE_SLICES, _always(_DEVICES)),
    Row(kinds.DEVICE_CLASSES, _always(_DEVICES)),
    Row(kinds.DEVICE_TAINT_RULES, _always(_DEVICES)),
    Row(kinds.VOLUME_ATTRIBUTES_CLASSES, _always(
        "no volume driver of this version reads a VolumeAttributesClass: volumes stay as they are")),
    Row(kinds.STORAGE_VERSION_MIGRATIONS, _always(
        "no storage migrator runs in this version: objects stay in the version they were stored in")),
)

_BY_PLACE = {(row.resource.group, row.resource.plural): row for row in reversed(ROWS)}


def row_of(group: str, plural: str) -> Row | None:
    """The row of a built-in resource, any version of it."""
    return _BY_PLACE.get((group, plural))


def watched() -> Iterator[Row]:
    """The rows whose objects get an Event: one a stored kind."""
    return iter(_BY_PLACE.values())

