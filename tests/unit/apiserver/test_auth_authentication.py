"""Who a request is from: certificates, tokens, impersonation, and the tokens themselves."""

import base64
from datetime import timedelta

import orjson
import pytest
from auth_source import START, DictSource, account, meta, pod
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.kit.http.message import Request
from wherry.orchestration.apiserver.auth import jwt
from wherry.orchestration.apiserver.auth.authenticator import Authenticator
from wherry.orchestration.apiserver.auth.authorizer import Attributes, Decision, FirstOf
from wherry.orchestration.apiserver.auth.other_tokens import BootstrapTokens, StaticTokens
from wherry.orchestration.apiserver.auth.tokens import ServiceAccountTokens
from wherry.orchestration.apiserver.errors import ApiError
from wherry.orchestration.apiserver.pki import certificates
from wherry.orchestration.apiserver.user import ADMIN, Unauthorized, User
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.testing.virtual_time import VirtualClock

KEY = ec.generate_private_key(ec.SECP256R1())


class AllowOnly:
    """Allows the (verb, resource, name) triples it is given, and remembers what it was asked."""

    def __init__(self, *allowed: tuple[str, str]) -> None:
        self.allowed = set(allowed)

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision((attributes.resource_with_sub, attributes.name) in self.allowed)


def tokens(source: DictSource, clock: VirtualClock) -> ServiceAccountTokens:
    return ServiceAccountTokens(KEY, source, clock)


def authenticator(source: DictSource, clock: VirtualClock, *allowed: tuple[str, str]) -> Authenticator:
    return Authenticator([tokens(source, clock)], FirstOf([AllowOnly(*allowed)]), clock)


def request(headers: dict[str, str] | None = None, **more: object) -> Request:
    return Request("GET", "/api", "/api", headers=headers or {}, **more)  # type: ignore[arg-type]


def issued(service: ServiceAccountTokens, **spec: object) -> str:
    answer = service.issue(account(), {"spec": spec})
    return str(answer["status"]["token"])


def claims(token: str) -> Object:
    body: Object = orjson.loads(jwt.decode(token.split(".")[1].encode()))
    return body


@pytest.mark.parametrize("headers", [
    pytest.param({}, id="no credential"),
    pytest.param({"authorization": "Bearer nonsense"}, id="token of no kind"),
    pytest.param({"authorization": "Basic YTpi"}, id="basic"),
    pytest.param({"authorization": "Bearer "}, id="empty token"),
    pytest.param({"authorization": "Bearer a.b.c"}, id="three parts of junk"),
    pytest.param({"impersonate-user": "jane"}, id="impersonation alone"),
])
def test_without_a_valid_credential_nobody_is_let_in(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        authenticator(DictSource(), VirtualClock(START)).authenticate(request(headers))


def test_certificate_names_user_and_groups() -> None:
    leaf = certificates.issue(
        certificates.create_authority("k", START), certificates.LeafRequest("jane", ("dev", "ops")), START)
    der = x509.load_pem_x509_certificate(leaf).public_bytes(serialization.Encoding.DER)
    clock = VirtualClock(START)
    subject = authenticator(DictSource(), clock)
    user = subject.authenticate(request(peer_certificate=der))
    assert (user.name, user.groups) == ("jane", ("dev", "ops", "system:authenticated"))
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")
    clock.jump(timedelta(days=366).total_seconds())
    with pytest.raises(Unauthorized):
        subject.authenticate(request(peer_certificate=der))


def test_pod_token_carries_upstreams_claims() -> None:
    clock = VirtualClock(START)
    source = DictSource(account(), pod("web"), {"apiVersion": "v1", "kind": "Node", "metadata": meta("n1")})
    token = issued(tokens(source, clock), expirationSeconds=3607,
                   boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "uid-web"})
    now = int(START.timestamp())
    body = claims(token)
    assert body.pop("jti")
    assert body == {
        "aud": ["https://kubernetes.default.svc.cluster.local"], "exp": now + 365 * 86400, "iat": now,
        "iss": "https://kubernetes.default.svc.cluster.local", "nbf": now,
        "sub": "system:serviceaccount:default:default",
        "kubernetes.io": {
            "namespace": "default", "node": {"name": "n1", "uid": "uid-n1"}, "pod": {"name": "web", "uid": "uid-web"},
            "serviceaccount": {"name": "default", "uid": "uid-default"}, "warnafter": now + 3607,
        },
    }


def test_token_proves_the_account() -> None:
    source, clock = DictSource(account(), pod("web")), VirtualClock(START)
    token = issued(tokens(source, clock), boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "web"})
    user = authenticator(source, clock).authenticate(request({"authorization": f"Bearer {token}"}))
    assert user.name == "system:serviceaccount:default:default" and user.uid == "uid-default"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("web",)


def test_a_token_is_looked_at_again_only_when_something_of_its_own_kinds_changed() -> None:
    source, clock = DictSource(account()), VirtualClock(START)
    found = tokens(source, clock)
    token = found.issue(account(), {})["status"]["token"]
    found.verify(token)
    looked: list[Resource] = []
    get = source.get

    def counted(resource: Resource, namespace: str, name: str) -> Object | None:
        looked.append(resource)
        return get(resource, namespace, name)

    source.get = counted  # type: ignore[method-assign]
    source.put(pod("p"))
    found.verify(token)
    assert looked == []
    source.remove(account())
    with pytest.raises(Invalid, match="is gone"):
        found.verify(token)


def test_browser_token_comes_as_a_websocket_protocol() -> None:
    source, clock = DictSource(account()), VirtualClock(START)
    token = issued(tokens(source, clock))
    coded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    header = f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{coded}"
    user = authenticator(source, clock).authenticate(request({"sec-websocket-protocol": header}))
    assert user.service_account == ("default", "default")


@pytest.mark.parametrize("spoil", [
    pytest.param(lambda source, clock: clock.jump(3600), id="expired"),
    pytest.param(lambda source, clock: clock.jump(-120), id="from the future"),
    pytest.param(lambda source, clock: source.remove(account()), id="account deleted"),
    pytest.param(lambda source, clock: source.remove(pod("web")), id="pod deleted"),
    pytest.param(lambda source, clock: source.put(
        account() | {"metadata": meta("default", "default") | {"uid": "other"}}), id="account made anew"),
    pytest.param(lambda source, clock: source.put(
        pod("web") | {"metadata": meta("web", "default") | {"uid": "other"}}), id="pod made anew"),
])
def test_token_ends_with(spoil: object) -> None:
    source, clock = DictSource(account(), pod("web")), VirtualClock(START)
    service = tokens(source, clock)
    token = issued(service, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "web"})
    assert service.user_of(token) is not None
    spoil(source, clock)  # type: ignore[operator]
    assert tokens(source, clock).user_of(token) is None
    assert service.user_of(token) is None or clock.now() < START  # what was checked before stays checked


def test_pod_being_deleted_keeps_its_token_for_a_minute_past_its_grace_period() -> None:
    source, clock = DictSource(account(), pod("web")), VirtualClock(START)
    service = tokens(source, clock)
    token = issued(service, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "web"})
    ending = pod("web")
    ending["metadata"]["deletionTimestamp"] = "2026-11-23T06:00:30Z"
    source.put(ending)
    clock.jump(89)
    assert service.user_of(token) is not None
    clock.jump(2)
    assert service.user_of(token) is None


def test_token_for_another_audience_is_refused_by_the_server_and_accepted_in_a_review() -> None:
    source, clock = DictSource(account()), VirtualClock(START)
    service = tokens(source, clock)
    token = issued(service, audiences=["vault", "other"])
    assert service.user_of(token) is None
    assert service.verify(token, ["x", "vault"]).audiences == ("vault",)


def test_token_of_another_key_is_refused() -> None:
    source, clock = DictSource(account()), VirtualClock(START)
    forged = ServiceAccountTokens(ec.generate_private_key(ec.SECP256R1()), source, clock)
    with pytest.raises(Invalid, match="signature"):
        tokens(source, clock).verify(issued(forged))


def test_unsigned_token_is_refused() -> None:
    source, clock = DictSource(account()), VirtualClock(START)
    service = tokens(source, clock)
    _, body, _ = issued(service).split(".")
    header = jwt.encode(b'{"alg":"none"}').decode()
    assert service.user_of(f"{header}.{body}.") is None


def test_secret_token_lives_as_long_as_its_secret() -> None:
    source, clock = DictSource(account()), VirtualClock(START)
    service = tokens(source, clock)
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
              "metadata": meta("default-token", "default")}
    token = service.issue_for_secret(account(), secret)
    secret["data"] = {"token": base64.b64encode(token.encode()).decode()}
    source.put(secret)
    clock.jump(10 * 365 * 86400)
    assert service.user_of(token) is not None
    source.remove(secret)
    assert service.user_of(token) is None


@pytest.mark.parametrize(("spec", "code", "text"), [
    pytest.param({"expirationSeconds": 599}, 422, "less than 10 minutes", id="too short"),
    pytest.param({"expirationSeconds": 1 << 33}, 422, "larger than 2\\^32", id="too long"),
    pytest.param({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "gone"}}, 404, "not found", id="no pod"),
    pytest.param({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "x"}}, 409,
                 "the UID in the bound object reference", id="other pod of that name"),
    pytest.param({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "foreign"}}, 400,
                 "different serviceaccount", id="pod of another account"),
    pytest.param({"boundObjectRef": {"kind": "Job", "apiVersion": "batch/v1", "name": "x"}}, 400,
                 "cannot bind token to object of type", id="job"),
])
def test_token_request_is_refused(spec: Object, code: int, text: str) -> None:
    source = DictSource(account(), pod("web"), pod("foreign", serviceAccountName="build"))
    with pytest.raises(ApiError, match=text) as raised:
        issued(tokens(source, VirtualClock(START)), **spec)
    assert raised.value.code == code


@pytest.mark.parametrize("key", [KEY, rsa.generate_private_key(65537, 2048)], ids=["ES256", "RS256"])
def test_published_keys_verify_what_was_signed(key: jwt.PrivateKey) -> None:
    signer = jwt.Signer(key)
    token = signer.sign({"sub": "x"})
    (web_key,) = jwt.key_set([signer.public_key])["keys"]
    public: jwt.PublicKey
    if web_key["kty"] == "EC":
        x, y = (int.from_bytes(jwt.decode(web_key[part].encode()), "big") for part in "xy")
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    else:
        n, e = (int.from_bytes(jwt.decode(web_key[part].encode()), "big") for part in "ne")
        public = rsa.RSAPublicNumbers(e, n).public_key()
    assert jwt.Verifier([public]).claims_of(token) == {"sub": "x"}


@given(st.text(max_size=200))
def test_no_text_breaks_the_verifier(text: str) -> None:
    assert jwt.Verifier([KEY.public_key()]).claims_of(text) is None


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=1))
def test_changed_token_is_refused(position: int, byte: bytes) -> None:
    token = jwt.Signer(KEY).sign({"sub": "x"}).encode()
    at = position % len(token)
    changed = token[:at] + byte + token[at + 1:]
    claims_found = jwt.Verifier([KEY.public_key()]).claims_of(changed.decode("latin-1"))
    # The last base64 character of a part has bits that decode to nothing: those changes are harmless.
    assert claims_found in (None, {"sub": "x"})


def test_static_tokens_name_user_and_groups() -> None:
    static = StaticTokens.parse('abc,jane,7,"dev,ops"\n# comment\nxyz,joe,8\n')
    assert static.user_of("abc") == User("jane", "7", ("dev", "ops", "system:authenticated"))
    assert static.user_of("xyz") == User("joe", "8", ("system:authenticated",))
    assert static.user_of("ab") is None


@pytest.mark.parametrize(("change", "is_known"), [
    pytest.param({}, True, id="as made"),
    pytest.param({"token-secret": "0000000000000000"}, False, id="other secret"),
    pytest.param({"usage-bootstrap-authentication": "false"}, False, id="not for authentication"),
    pytest.param({"expiration": "2026-11-23T05:59:59Z"}, False, id="expired"),
    pytest.param({"expiration": "2026-11-23T06:00:01Z"}, True, id="not yet expired"),
    pytest.param({"expiration": "tomorrow"}, False, id="expiration unreadable"),
    pytest.param({"auth-extra-groups": "system:masters"}, False, id="asks for masters"),
])
def test_bootstrap_token(change: dict[str, str], is_known: bool) -> None:
    data = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"} | change
    source = DictSource({
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": meta("bootstrap-token-abcdef", "kube-system"),
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    })
    user = BootstrapTokens(source, VirtualClock(START)).user_of("abcdef.0123456789abcdef")
    assert (user is not None) == is_known
    if user is not None:
        assert user.name == "system:bootstrap:abcdef" and "system:bootstrappers" in user.groups


JANE = User("jane", groups=("system:authenticated",))


def act_as(headers: dict[str, str], *allowed: tuple[str, str]) -> User:
    return authenticator(DictSource(), VirtualClock(START), *allowed).authenticate(request(headers, identity=JANE))


def test_impersonation_of_user_and_groups() -> None:
    user = act_as({"impersonate-user": "joe", "impersonate-group": "dev, ops", "impersonate-extra-a%2fb": "1"},
                  ("users", "joe"), ("groups", "dev"), ("groups", "ops"), ("userextras/a/b", "1"))
    assert user == User("joe", "", ("dev", "ops", "system:authenticated"), {"a/b": ("1",)})


def test_impersonated_account_has_its_groups() -> None:
    user = act_as({"impersonate-user": "system:serviceaccount:ns:sa"}, ("serviceaccounts", "sa"))
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")


@pytest.mark.parametrize(("headers", "code"), [
    pytest.param({"impersonate-user": "root"}, 403, id="user"),
    pytest.param({"impersonate-user": "joe", "impersonate-group": "system:masters"}, 403, id="group"),
    pytest.param({"impersonate-user": "joe", "impersonate-uid": "1"}, 403, id="uid"),
    pytest.param({"impersonate-user": "joe", "impersonate-extra-x": "1"}, 403, id="extra"),
    pytest.param({"impersonate-group": "dev"}, 400, id="no user"),
])
def test_impersonation_is_refused(headers: dict[str, str], code: int) -> None:
    with pytest.raises(ApiError) as raised:
        act_as(headers, ("users", "joe"))
    assert raised.value.code == code


def test_in_process_caller_is_who_it_says() -> None:
    assert authenticator(DictSource(), VirtualClock(START)).authenticate(request(identity=ADMIN)) is ADMIN
