"""Who may do what: rules, bindings, nodes, the defaults, escalation, and the review kinds."""

import asyncio

import pytest
from auth_source import START, DictSource, account, meta, pod
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.apiserver.auth import bootstrap
from wherry.orchestration.apiserver.auth.authenticator import Authenticator
from wherry.orchestration.apiserver.auth.authorizer import Attributes, Decision, FirstOf, forbidden_message
from wherry.orchestration.apiserver.auth.escalation import EscalationCheck
from wherry.orchestration.apiserver.auth.node_authorizer import NodeAuthorizer
from wherry.orchestration.apiserver.auth.rbac import RbacAuthorizer
from wherry.orchestration.apiserver.auth.reviews import Reviews
from wherry.orchestration.apiserver.auth.rule_text import parse_rules
from wherry.orchestration.apiserver.auth.rules import compact, describe, read_rules, uncovered
from wherry.orchestration.apiserver.auth.tokens import ServiceAccountTokens
from wherry.orchestration.apiserver.errors import ApiError
from wherry.orchestration.apiserver.user import (
    ADMIN,
    CONTROLLER_MANAGER,
    SCHEDULER,
    User,
    node_user,
    service_account_user,
)
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.meta import Object
from wherry.testing.virtual_time import VirtualClock

RBAC = "rbac.authorization.k8s.io"
JANE = User("jane", groups=("dev", "system:authenticated"))


def role(name: str, text: str, namespace: str = "") -> Object:
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role" if namespace else "ClusterRole",
            "metadata": meta(name, namespace), "rules": parse_rules(text)}


def binding(name: str, to: str, *subjects: Object, namespace: str = "", kind: str = "ClusterRole") -> Object:
    return {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
            "metadata": meta(name, namespace), "subjects": list(subjects),
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": to}}


def user(name: str) -> Object:
    return {"kind": "User", "apiGroup": RBAC, "name": name}


def group(name: str) -> Object:
    return {"kind": "Group", "apiGroup": RBAC, "name": name}


def decide(source: DictSource, who: User, verb: str, resource: str = "", *, api_group: str = "", namespace: str = "",
           name: str = "", path: str = "") -> Decision:
    resource, _, subresource = resource.partition("/")
    return RbacAuthorizer(source).authorize(
        Attributes(who, verb, api_group, "v1", resource, subresource, namespace, name, path))


@pytest.mark.parametrize(("rule", "asked", "is_allowed"), [
    pytest.param("get | core | pods", {"resource": "pods"}, True, id="named"),
    pytest.param("get | core | pods", {"resource": "pods", "subresource": "log"}, False, id="subresource not named"),
    pytest.param("get | core | pods/log", {"resource": "pods", "subresource": "log"}, True, id="subresource named"),
    pytest.param("get | core | */log", {"resource": "pods", "subresource": "log"}, True, id="any log"),
    pytest.param("get | core | */log", {"resource": "pods"}, False, id="any log is no pod"),
    pytest.param("get | core | *", {"resource": "pods", "subresource": "log"}, True, id="star holds subresources"),
    pytest.param("list | core | pods", {"resource": "pods"}, False, id="other verb"),
    pytest.param("* | core | pods", {"resource": "pods"}, True, id="any verb"),
    pytest.param("get | apps | pods", {"resource": "pods"}, False, id="other group"),
    pytest.param("get | * | pods", {"resource": "pods", "group": "x.io"}, True, id="any group"),
    pytest.param("get | core | pods | web", {"resource": "pods", "name": "web"}, True, id="that name"),
    pytest.param("get | core | pods | web", {"resource": "pods", "name": "db"}, False, id="other name"),
    pytest.param("get | core | pods | web", {"resource": "pods"}, False, id="name given, none asked"),
    pytest.param("get | /healthz", {"path": "/healthz"}, True, id="url"),
    pytest.param("get | /healthz/*", {"path": "/healthz/etcd"}, True, id="url below"),
    pytest.param("get | /healthz/*", {"path": "/healthz"}, False, id="url itself"),
    pytest.param("get | *", {"path": "/x"}, True, id="any url"),
    pytest.param("get | * | *", {"path": "/x"}, False, id="resources are no urls"),
])
def test_rule(rule: str, asked: dict[str, str], is_allowed: bool) -> None:
    (compiled,) = read_rules(parse_rules(rule))
    assert compiled.allows(Attributes(JANE, "get", **asked)) is is_allowed  # type: ignore[arg-type]


READER = role("reader", "read | core | pods")


@pytest.mark.parametrize(("bound", "namespace", "reason"), [
    pytest.param(binding("b", "reader", user("jane")), "x",
                 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to User "jane"', id="cluster, user"),
    pytest.param(binding("b", "reader", group("dev")), "x",
                 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "dev"', id="cluster, group"),
    pytest.param(binding("b", "reader", user("jane"), namespace="x"), "x",
                 'RBAC: allowed by RoleBinding "b/x" of ClusterRole "reader" to User "jane"', id="in its namespace"),
    pytest.param(binding("b", "reader", user("jane"), namespace="y"), "x", None, id="in another namespace"),
    pytest.param(binding("b", "reader", user("jane"), namespace="x"), "", None, id="not cluster-wide"),
    pytest.param(binding("b", "reader", user("joe")), "x", None, id="somebody else"),
    pytest.param(binding("b", "reader", group("jane")), "x", None, id="group of the user's name"),
])
def test_binding(bound: Object, namespace: str, reason: str | None) -> None:
    decision = decide(DictSource(READER, bound), JANE, "list", "pods", namespace=namespace)
    assert (decision.reason if decision.allowed else None) == reason


def test_account_subject_is_bound_in_the_bindings_namespace_when_it_names_none() -> None:
    source = DictSource(READER, binding("b", "reader", {"kind": "ServiceAccount", "name": "sa"}, namespace="x"))
    decision = decide(source, service_account_user("x", "sa"), "get", "pods", namespace="x")
    assert decision == Decision(
        True, 'RBAC: allowed by RoleBinding "b/x" of ClusterRole "reader" to ServiceAccount "sa/x"')


def test_missing_role_is_named_in_the_refusal() -> None:
    decision = decide(DictSource(binding("b", "gone", user("jane"))), JANE, "get", "pods")
    assert decision == Decision(False, 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found')


def test_change_counts_on_the_next_question() -> None:
    source = DictSource(READER)
    authorizer = RbacAuthorizer(source)
    question = Attributes(JANE, "get", "", "v1", "pods")
    assert not authorizer.authorize(question).allowed
    grant = source.put(binding("b", "reader", user("jane")))
    assert authorizer.authorize(question).allowed
    source.remove(grant)
    assert not authorizer.authorize(question).allowed


DEFAULTS = DictSource(*bootstrap.objects())


@pytest.mark.parametrize(("who", "verb", "resource", "api_group", "is_allowed"), [
    pytest.param("admin", "create", "rolebindings", RBAC, True, id="admin binds"),
    pytest.param("admin", "get", "secrets", "", True, id="admin holds edit"),
    pytest.param("edit", "create", "deployments", "apps", True, id="edit creates deployments"),
    pytest.param("edit", "create", "rolebindings", RBAC, False, id="edit does not bind"),
    pytest.param("edit", "list", "pods", "", True, id="edit holds view"),
    pytest.param("view", "list", "pods", "", True, id="view lists pods"),
    pytest.param("view", "get", "pods/log", "", True, id="view reads logs"),
    pytest.param("view", "get", "secrets", "", False, id="view sees no secrets"),
    pytest.param("view", "create", "pods", "", False, id="view creates nothing"),
    pytest.param("view", "get", "nodes", "", False, id="view is for namespaces"),
])
def test_user_facing_roles(who: str, verb: str, resource: str, api_group: str, is_allowed: bool) -> None:
    source = DictSource(*bootstrap.objects(), binding("b", who, user("jane"), namespace="shop"))
    assert decide(source, JANE, verb, resource, api_group=api_group, namespace="shop").allowed is is_allowed


def test_new_role_with_the_label_is_part_of_view_at_once() -> None:
    source = DictSource(*bootstrap.objects(), binding("b", "view", user("jane"), namespace="shop"))
    extra = role("widgets-view", "read | example.com | widgets")
    extra["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    assert not decide(source, JANE, "get", "widgets", api_group="example.com", namespace="shop").allowed
    source.put(extra)
    assert decide(source, JANE, "get", "widgets", api_group="example.com", namespace="shop").allowed


@pytest.mark.parametrize(("who", "asked", "is_allowed"), [
    pytest.param(JANE, {"verb": "get", "path": "/apis/apps/v1"}, True, id="anybody discovers"),
    pytest.param(JANE, {"verb": "get", "path": "/metrics"}, False, id="not anybody reads metrics"),
    pytest.param(JANE, {"verb": "create", "resource": "selfsubjectaccessreviews",
                        "api_group": "authorization.k8s.io"}, True, id="anybody asks can-i"),
    pytest.param(JANE, {"verb": "create", "resource": "selfsubjectreviews",
                        "api_group": "authentication.k8s.io"}, True, id="anybody asks who am I"),
    pytest.param(JANE, {"verb": "list", "resource": "pods", "namespace": "default"}, False, id="but reads nothing"),
    pytest.param(SCHEDULER, {"verb": "create", "resource": "pods/binding", "namespace": "x"}, True, id="scheduler binds"),
    pytest.param(SCHEDULER, {"verb": "create", "resource": "pods", "namespace": "x"}, False, id="scheduler makes no pod"),
    pytest.param(CONTROLLER_MANAGER, {"verb": "create", "resource": "pods", "namespace": "x"}, True, id="controllers do"),
    pytest.param(CONTROLLER_MANAGER, {"verb": "escalate", "resource": "clusterroles", "api_group": RBAC}, True,
                 id="aggregation may escalate"),
    pytest.param(service_account_user("x", "y"), {"verb": "get", "path": "/openid/v1/jwks"}, True, id="accounts see keys"),
    pytest.param(service_account_user("kube-system", "replicaset-controller"),
                 {"verb": "create", "resource": "pods", "namespace": "x"}, True, id="separate controller account"),
])
def test_default_grants(who: User, asked: dict[str, str], is_allowed: bool) -> None:
    assert decide(DEFAULTS, who, **asked).allowed is is_allowed


GATEWAY = User("system:wherry:gateway", groups=("system:authenticated",))


@pytest.mark.parametrize(("who", "verbs", "resource", "api_group"), [
    *[pytest.param(CONTROLLER_MANAGER, verbs, resource, group_, id=f"controllers {resource}") for verbs, resource, group_ in (
        ("create patch delete", "pods", ""), ("patch", "pods/status", ""), ("patch update", "deployments/status", "apps"),
        ("create update patch delete", "replicasets", "apps"), ("create update patch delete", "controllerrevisions", "apps"),
        ("create patch delete", "persistentvolumeclaims", ""), ("create patch delete", "persistentvolumes", ""),
        ("create update patch delete", "endpointslices", "discovery.k8s.io"), ("create patch delete", "jobs", "batch"),
        ("patch update", "nodes", ""), ("create patch", "events", ""), ("create patch", "events", "events.k8s.io"),
        ("create update", "configmaps", ""), ("create", "serviceaccounts", ""), ("update patch", "namespaces/finalize", ""),
        ("list watch delete patch", "widgets", "example.com"), ("get update", "widgets/scale", "example.com"),
        ("update", "certificatesigningrequests/status", "certificates.k8s.io"), ("list watch", "secrets", ""),
    )],
    *[pytest.param(SCHEDULER, verbs, resource, group_, id=f"scheduler {resource}") for verbs, resource, group_ in (
        ("create", "pods/binding", ""), ("patch update", "pods/status", ""), ("list watch", "storageclasses", "storage.k8s.io"),
        ("list watch", "nodes", ""), ("list watch delete", "pods", ""), ("patch update", "persistentvolumeclaims", ""),
    )],
    *[pytest.param(NODE_USER, verbs, resource, group_, id=f"node {resource}") for NODE_USER in (node_user("n1"),)
      for verbs, resource, group_ in (("list watch", "services", ""), ("list watch", "endpointslices", "discovery.k8s.io"),)],
    pytest.param(GATEWAY, "list watch", "ingresses", "networking.k8s.io", id="gateway ingresses"),
    pytest.param(GATEWAY, "patch update", "ingresses/status", "networking.k8s.io", id="gateway status"),
    pytest.param(GATEWAY, "list watch", "httproutes", "gateway.networking.k8s.io", id="gateway routes"),
])
def test_own_parts_may_do_their_work(who: User, verbs: str, resource: str, api_group: str) -> None:
    for verb in verbs.split():
        assert decide(DEFAULTS, who, verb, resource, api_group=api_group, namespace="x").allowed, verb


def test_every_default_is_labelled_and_refers_to_a_default_role() -> None:
    objects = bootstrap.objects()
    roles = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects}
    assert len(roles) == len(objects)
    for obj in objects:
        assert obj["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
        assert obj["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] == "true"
        if "roleRef" in obj:
            ref = obj["roleRef"]
            namespace = obj["metadata"].get("namespace", "") if ref["kind"] == "Role" else ""
            assert (ref["kind"], namespace, ref["name"]) in roles


def test_aggregated_defaults_are_written_with_their_rules() -> None:
    rules = {o["metadata"]["name"]: o["rules"] for o in bootstrap.cluster_roles()}
    assert rules["view"] == rules["system:aggregate-to-view"]
    assert all(rule in rules["admin"] for name in ("view", "edit", "system:aggregate-to-admin") for rule in rules[name])


def test_reconciliation_adds_what_is_missing_and_respects_the_annotation() -> None:
    default = next(o for o in bootstrap.cluster_roles() if o["metadata"]["name"] == "system:discovery")
    own_rule = {"apiGroups": ["x"], "resources": ["y"], "verbs": ["get"]}
    changed = bootstrap.reconciled(default | {"rules": [own_rule]}, default)
    assert changed is not None and changed["rules"] == [own_rule, *default["rules"]]
    assert bootstrap.reconciled(default, default) is None
    kept = default | {"rules": [], "metadata": default["metadata"] | {
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}}
    assert bootstrap.reconciled(kept, default) is None


def test_list_of_one_name_is_allowed_by_a_rule_for_that_name() -> None:
    source = DictSource(role("one", "list watch | core | secrets | mine"), binding("b", "one", user("jane")))
    chain = FirstOf([RbacAuthorizer(source)])
    asked = Attributes(JANE, "watch", resource="secrets", namespace="x", field_selector=(("metadata.name", "mine"),))
    assert chain.authorize(asked).allowed
    assert not chain.authorize(Attributes(JANE, "watch", resource="secrets", namespace="x")).allowed


def test_refusal_reads_as_upstreams() -> None:
    assert forbidden_message(Attributes(JANE, "list", "apps", "v1", "deployments", "scale", "x")) == (
        'User "jane" cannot list resource "deployments/scale" in API group "apps" in the namespace "x"')
    assert forbidden_message(Attributes(JANE, "get", path="/metrics")) == 'User "jane" cannot get path "/metrics"'


NODE = node_user("n1")
WEB = pod("web", volumes=[
    {"name": "c", "configMap": {"name": "settings"}},
    {"name": "t", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"name": "proj"}}]}},
    {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
    {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
    {"name": "csi", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "csi-secret"}}},
], imagePullSecrets=[{"name": "pull"}], containers=[{
    "name": "a", "envFrom": [{"secretRef": {"name": "env"}}],
    "env": [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "key", "key": "k"}}}]}])
NODE_WORLD = (
    WEB, pod("other", node="n2", volumes=[{"name": "s", "secret": {"secretName": "theirs"}}]), account(),
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta("data", "default"),
     "spec": {"volumeName": "pv1"}},
    {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta("pv1"), "spec": {
        "claimRef": {"namespace": "default", "name": "data"},
        "csi": {"nodeStageSecretRef": {"namespace": "default", "name": "stage"}}}},
    {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta("pv2"), "spec": {}},
)


@pytest.mark.parametrize(("asked", "is_allowed"), [
    *[pytest.param({"verb": "get", "resource": "secrets", "namespace": "default", "name": name}, True, id=f"secret {name}")
      for name in ("proj", "pull", "env", "csi-secret", "stage")],
    *[pytest.param({"verb": "watch", "resource": "configmaps", "namespace": "default", "name": name}, True, id=f"map {name}")
      for name in ("settings", "kube-root-ca.crt", "key")],
    pytest.param({"verb": "get", "resource": "secrets", "namespace": "default", "name": "theirs"}, False, id="other node's"),
    pytest.param({"verb": "get", "resource": "secrets", "namespace": "x", "name": "env"}, False, id="other namespace"),
    pytest.param({"verb": "list", "resource": "secrets", "namespace": "default"}, False, id="all secrets"),
    pytest.param({"verb": "update", "resource": "secrets", "namespace": "default", "name": "env"}, False, id="write secret"),
    pytest.param({"verb": "get", "resource": "persistentvolumeclaims", "namespace": "default", "name": "data"}, True, id="claim"),
    pytest.param({"verb": "get", "resource": "persistentvolumeclaims", "namespace": "default", "name": "web-e"}, True,
                 id="ephemeral claim"),
    pytest.param({"verb": "get", "resource": "persistentvolumes", "name": "pv1"}, True, id="volume"),
    pytest.param({"verb": "get", "resource": "persistentvolumes", "name": "pv2"}, False, id="other volume"),
    pytest.param({"verb": "create", "resource": "serviceaccounts", "subresource": "token", "namespace": "default",
                  "name": "default"}, True, id="token of its pod's account"),
    pytest.param({"verb": "create", "resource": "serviceaccounts", "subresource": "token", "namespace": "kube-system",
                  "name": "admin"}, False, id="token of another account"),
    pytest.param({"verb": "get", "resource": "nodes", "name": "n1"}, True, id="own node"),
    pytest.param({"verb": "get", "resource": "nodes", "name": "n2"}, False, id="other node"),
    pytest.param({"verb": "patch", "resource": "nodes", "subresource": "status", "name": "n1"}, True, id="own status"),
    pytest.param({"verb": "patch", "resource": "nodes", "subresource": "status", "name": "n2"}, False, id="other status"),
    pytest.param({"verb": "delete", "resource": "nodes", "name": "n1"}, False, id="delete node"),
    pytest.param({"verb": "update", "resource": "leases", "group": "coordination.k8s.io",
                  "namespace": "kube-node-lease", "name": "n1"}, True, id="own lease"),
    pytest.param({"verb": "update", "resource": "leases", "group": "coordination.k8s.io",
                  "namespace": "kube-node-lease", "name": "n2"}, False, id="other lease"),
    pytest.param({"verb": "update", "resource": "leases", "group": "coordination.k8s.io",
                  "namespace": "kube-system", "name": "n1"}, False, id="lease elsewhere"),
    pytest.param({"verb": "get", "resource": "pods", "namespace": "default", "name": "web"}, True, id="own pod"),
    pytest.param({"verb": "get", "resource": "pods", "namespace": "default", "name": "other"}, False, id="other pod"),
    pytest.param({"verb": "watch", "resource": "pods", "field_selector": (("spec.nodeName", "n1"),)}, True, id="own pods"),
    pytest.param({"verb": "watch", "resource": "pods"}, False, id="all pods"),
    pytest.param({"verb": "patch", "resource": "pods", "subresource": "status", "namespace": "default", "name": "web"}, True,
                 id="pod status (NodeRestriction looks whose)"),
    pytest.param({"verb": "create", "resource": "events", "namespace": "default"}, True, id="events"),
    pytest.param({"verb": "list", "resource": "services"}, True, id="services"),
    pytest.param({"verb": "create", "resource": "deployments", "group": "apps", "namespace": "x"}, False, id="deployments"),
    pytest.param({"verb": "get", "path": "/metrics"}, False, id="url"),
])
async def test_node_may(asked: Object, is_allowed: bool) -> None:
    authorizer = NodeAuthorizer(DictSource(*NODE_WORLD))
    assert authorizer.authorize(Attributes(NODE, **asked)).allowed is is_allowed


@pytest.mark.virtual_time
async def test_node_reads_the_secret_of_a_pod_as_soon_as_it_is_bound_and_loses_it_after() -> None:
    source = DictSource(*NODE_WORLD)
    authorizer = NodeAuthorizer(source)
    asked = Attributes(NODE, "get", resource="secrets", namespace="default", name="new")
    assert authorizer.authorize(asked).reason == "no relationship found between node 'n1' and this object"
    late = source.put(pod("late", volumes=[{"name": "s", "secret": {"secretName": "new"}}]))
    assert authorizer.authorize(asked).allowed
    source.remove(late)
    await asyncio.sleep(6)
    assert not authorizer.authorize(asked).allowed


async def test_user_that_calls_itself_a_node_is_none() -> None:
    assert not NodeAuthorizer(DictSource(*NODE_WORLD)).authorize(Attributes(
        User("system:node:n1"), "get", resource="nodes", name="n1")).allowed


def escalation(source: DictSource) -> EscalationCheck:
    rbac = RbacAuthorizer(source)
    return EscalationCheck(FirstOf([rbac]), rbac)


def test_grant_of_more_than_is_held_is_refused_in_upstreams_words() -> None:
    source = DictSource(READER, binding("b", "reader", user("jane")))
    new = role("r", "get list delete | core | pods\nget | apps | deployments", "x")
    with pytest.raises(ApiError) as raised:
        escalation(source).check(JANE, kinds.ROLES, new, None)
    assert raised.value.code == 403
    assert str(raised.value) == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is '
        'attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}')


@pytest.mark.parametrize(("who", "extra", "is_allowed"), [
    pytest.param(JANE, [], False, id="holds less"),
    pytest.param(ADMIN, [], True, id="master"),
    pytest.param(JANE, [role("p", f"bind | {RBAC} | clusterroles | cluster-admin"), binding("c", "p", user("jane"))],
                 True, id="may bind that role"),
    pytest.param(JANE, [binding("c", "cluster-admin", user("jane"))], True, id="holds it all"),
])
def test_binding_of_a_stronger_role(who: User, extra: list[Object], is_allowed: bool) -> None:
    source = DictSource(*bootstrap.objects(), *extra)
    new = binding("n", "cluster-admin", user("joe"))
    if is_allowed:
        escalation(source).check(who, kinds.CLUSTER_ROLE_BINDINGS, new, None)
    else:
        with pytest.raises(ApiError, match="not currently held"):
            escalation(source).check(who, kinds.CLUSTER_ROLE_BINDINGS, new, None)


def test_binding_of_a_role_that_is_not_there() -> None:
    with pytest.raises(ApiError, match=r'clusterroles.rbac.authorization.k8s.io "gone" not found'):
        escalation(DictSource()).check(JANE, kinds.CLUSTER_ROLE_BINDINGS, binding("n", "gone"), None)


def test_new_label_on_a_strong_role_is_no_escalation() -> None:
    strong = role("strong", "* | * | *")
    labelled = strong | {"metadata": strong["metadata"] | {"labels": {"a": "b"}}}
    escalation(DictSource(strong)).check(JANE, kinds.CLUSTER_ROLES, labelled, strong)


words = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=2, unique=True)
policy_rules = st.fixed_dictionaries({"apiGroups": words, "resources": words, "verbs": words})


@given(st.lists(policy_rules, max_size=3))
def test_rules_cover_themselves(rules: list[Object]) -> None:
    assert uncovered(rules, read_rules(rules)) == []


@given(st.lists(policy_rules, max_size=3), st.lists(policy_rules, max_size=3), st.sampled_from("ab"),
       st.sampled_from("ab"), st.sampled_from("ab"))
def test_covered_rules_allow_nothing_more(held: list[Object], wanted: list[Object], verb: str, api_group: str, kind: str) -> None:
    asked = Attributes(JANE, verb, api_group, "v1", kind)
    if not uncovered(wanted, read_rules(held)) and any(rule.allows(asked) for rule in read_rules(wanted)):
        assert any(rule.allows(asked) for rule in read_rules(held))


def test_compact_rules_join_verbs() -> None:
    simple = [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]} for verb in ("get", "list")]
    assert [describe(rule) for rule in compact(simple)] == ['{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}']


def reviews(source: DictSource) -> tuple[Reviews, ServiceAccountTokens]:
    clock = VirtualClock(START)
    tokens = ServiceAccountTokens(ec.generate_private_key(ec.SECP256R1()), source, clock)
    rbac = RbacAuthorizer(source)
    chain = FirstOf([NodeAuthorizer(source), rbac])
    return Reviews(Authenticator([tokens], chain, clock), chain, rbac, tokens, clock), tokens


def test_can_i() -> None:
    answer, _ = reviews(DictSource(READER, binding("b", "reader", user("jane"))))
    spec = {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "x"}}
    assert answer.answer("SelfSubjectAccessReview", JANE, {"spec": spec})["status"]["allowed"] is True
    spec = {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}
    assert answer.answer("SelfSubjectAccessReview", JANE, {"spec": spec})["status"] == {"allowed": False}
    assert answer.answer("SelfSubjectAccessReview", ADMIN, {"spec": spec})["status"] == {"allowed": True}


def test_review_of_somebody_else() -> None:
    answer, _ = reviews(DictSource(READER, binding("b", "reader", group("ops"))))
    spec = {"user": "joe", "groups": ["ops"], "resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "x"}}
    assert answer.answer("SubjectAccessReview", ADMIN, {"spec": spec})["status"]["allowed"] is True
    assert answer.answer("LocalSubjectAccessReview", ADMIN, {"spec": spec}, "x")["status"]["allowed"] is True


@pytest.mark.parametrize(("kind", "spec", "text"), [
    pytest.param("SubjectAccessReview", {"resourceAttributes": {}}, "at least one of user or group", id="nobody"),
    pytest.param("SubjectAccessReview", {"user": "a"}, "exactly one of", id="nothing"),
    pytest.param("SelfSubjectAccessReview", {"resourceAttributes": {}, "nonResourceAttributes": {}}, "combination", id="both"),
    pytest.param("LocalSubjectAccessReview", {"user": "a", "resourceAttributes": {"namespace": "y"}}, "must match", id="elsewhere"),
    pytest.param("LocalSubjectAccessReview", {"user": "a", "nonResourceAttributes": {"path": "/"}}, "disallowed", id="path"),
    pytest.param("SelfSubjectRulesReview", {}, "no namespace", id="rules of no namespace"),
    pytest.param("TokenReview", {}, "token is required", id="no token"),
])
def test_malformed_review(kind: str, spec: Object, text: str) -> None:
    answer, _ = reviews(DictSource())
    with pytest.raises(ApiError, match=text):
        answer.answer(kind, JANE, {"spec": spec}, "x")


def test_rules_review_lists_what_holds() -> None:
    answer, _ = reviews(DictSource(READER, role("u", "get | /x"), binding("b", "reader", user("jane"), namespace="x"),
                                   binding("c", "u", user("jane"))))
    status = answer.answer("SelfSubjectRulesReview", JANE, {"spec": {"namespace": "x"}})["status"]
    assert status == {"resourceRules": READER["rules"], "incomplete": False,
                      "nonResourceRules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]}


def test_rules_of_a_master_are_everything_once() -> None:
    answer, _ = reviews(DEFAULTS)
    status = answer.answer("SelfSubjectRulesReview", ADMIN, {"spec": {"namespace": "x"}})["status"]
    assert status["resourceRules"].count({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}) == 1


def test_whoami_and_token_review() -> None:
    source = DictSource(account())
    answer, tokens = reviews(source)
    info = answer.answer("SelfSubjectReview", JANE, {})["status"]["userInfo"]
    assert info == {"username": "jane", "groups": ["dev", "system:authenticated"]}
    token = tokens.issue(account(), {})["status"]["token"]
    status = answer.answer("TokenReview", ADMIN, {"spec": {"token": token}})["status"]
    assert status["authenticated"] and status["user"]["username"] == "system:serviceaccount:default:default"
    assert status["audiences"] == list(tokens.audiences)
    assert answer.answer("TokenReview", ADMIN, {"spec": {"token": "x"}})["status"]["authenticated"] is False
