"""Keys and certificates on disk, and kubeconfigs."""

import asyncio
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from wherry.kit.errors import Broken, Invalid
from wherry.orchestration.apiserver import pki
from wherry.orchestration.apiserver.pki import certificates, kubeconfig
from wherry.testing.virtual_time import VirtualClock

NOW = datetime.now(UTC)


def ensure(folder: Path, now: datetime = NOW, **more: object) -> pki.Authority:
    return pki.ensure(folder, addresses=["10.96.0.1", "192.0.2.7"], node_name="n1", now=now, **more)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_second_ensure_changes_no_file(tmp_path: Path) -> None:
    ensure(tmp_path)
    before = contents(tmp_path)
    ensure(tmp_path, NOW + timedelta(days=30))
    assert contents(tmp_path) == before


def test_private_files_are_private(tmp_path: Path) -> None:
    ensure(tmp_path / "pki")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "pki").iterdir()}
    assert {name for name, mode in modes.items() if mode != 0o600} == {"ca.crt", "front-proxy-ca.crt"}
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_identities_lie_apart_from_what_signs(tmp_path: Path) -> None:
    ensure(tmp_path / "pki")  # as it was before they had a folder of their own
    made = ensure(tmp_path / "pki", identities=tmp_path / "identity")
    assert set(contents(tmp_path / "identity")) == {"ca.crt", "node.pem", "node-serving.pem", "gateway.pem"}
    assert not {"node.pem", "node-serving.pem", "gateway.pem"} & set(contents(tmp_path / "pki"))
    assert (tmp_path / "identity" / "ca.crt").read_bytes() == made.ca_pem
    assert stat.S_IMODE((tmp_path / "identity").stat().st_mode) == 0o700


def test_leaf_near_its_end_is_renewed_by_the_same_authority(tmp_path: Path) -> None:
    first = ensure(tmp_path)
    before = contents(tmp_path)
    second = ensure(tmp_path, NOW + timedelta(days=330))
    after = contents(tmp_path)
    assert first.ca_pem == second.ca_pem
    assert {name for name in before if before[name] != after[name]} == {n for n in before if n.endswith(".pem")}


def test_new_address_renews_serving_certificates_only(tmp_path: Path) -> None:
    ensure(tmp_path)
    before = contents(tmp_path)
    pki.ensure(tmp_path, addresses=["10.96.0.1", "192.0.2.8"], node_name="n1", now=NOW)
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"apiserver.pem", "node-serving.pem"}


def test_authority_without_its_key_is_refused(tmp_path: Path) -> None:
    ensure(tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(Broken, match="ca.key"):
        ensure(tmp_path)


def test_creation_cut_short_after_the_key_starts_again(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_bytes(b"half a creation")
    assert ensure(tmp_path).ca.certificate.subject.rfc4514_string() == "CN=kubernetes"


def test_api_server_certificate_has_every_name(tmp_path: Path) -> None:
    certificate_pem, _ = ensure(tmp_path).leaf("apiserver")
    names = x509.load_pem_x509_certificate(certificate_pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) >= {
        "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        "localhost", "n1"}
    assert {str(ip) for ip in names.get_values_for_type(x509.IPAddress)} >= {"10.96.0.1", "192.0.2.7", "127.0.0.1"}


async def test_client_is_known_to_the_server_by_its_certificate(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    seen: list[bytes | None] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.write(b"ok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=made.server_tls("apiserver"))
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=made.client_tls("node"), server_hostname="kubernetes.default.svc")
        assert await reader.read() == b"ok"
        writer.close()
    certificate = x509.load_der_x509_certificate(seen[0] or b"")
    assert certificate.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"


async def test_client_of_another_cluster_is_refused(tmp_path: Path) -> None:
    ours, theirs = ensure(tmp_path / "a"), ensure(tmp_path / "b")
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0, ssl=ours.server_tls("apiserver"))
    client = theirs.client_tls("admin")
    client.load_verify_locations(ours.ca_file)
    async with server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            reader, _ = await asyncio.open_connection(
                "127.0.0.1", server.sockets[0].getsockname()[1], ssl=client, server_hostname="localhost")
            await reader.read()
            raise ConnectionError("closed without data")


def test_request_is_signed_with_its_own_subject_and_names() -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    authority = certificates.create_authority("kubernetes", NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    names = x509.SubjectAlternativeName([x509.DNSName("jane.example")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, False).sign(
        key, hashes.SHA256())
    signed = x509.load_pem_x509_certificate(certificates.sign_request(
        authority, request.public_bytes(serialization.Encoding.PEM), ["client auth", "digital signature"], NOW, timedelta(hours=1)))
    signed.verify_directly_issued_by(authority.certificate)
    assert signed.subject == subject
    assert signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names
    assert signed.not_valid_after_utc - NOW <= timedelta(hours=1)
    assert list(signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [certificates.CLIENT]
    usage = signed.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and not usage.key_encipherment and not usage.key_cert_sign


def test_unreadable_request_is_invalid() -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        certificates.sign_request(
            certificates.create_authority("k", NOW), b"junk", ["client auth"], NOW, timedelta(hours=1))


OURS = kubeconfig.document("https://127.0.0.1:6443", ca_pem=b"ca", certificate_pem=b"crt", key_pem=b"key")
THEIRS = {
    "apiVersion": "v1", "kind": "Config", "current-context": "work", "preferences": {"colors": True},
    "clusters": [{"name": "work", "cluster": {"server": "https://work"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me"}}],
}


def test_merge_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(THEIRS))
    for _ in range(2):
        kubeconfig.merge_into(path, OURS)
    merged = yaml.safe_load(path.read_text())
    assert [c["name"] for c in merged["contexts"]] == ["work", "wherry"]
    assert merged["users"][0] == THEIRS["users"][0]
    assert merged["current-context"] == "wherry" and merged["preferences"] == {"colors": True}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_merge_then_remove_leaves_the_users_entries(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(THEIRS))
    kubeconfig.merge_into(path, OURS, make_current=False)
    kubeconfig.remove_from(path, OURS)
    assert yaml.safe_load(path.read_text()) == THEIRS


def test_merge_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    kubeconfig.merge_into(tmp_path / "link", OURS)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").exists()


@pytest.mark.parametrize("text", ["[1, 2]", "clusters: 7", "a: [", "contexts: [x]"], ids=repr)
def test_foreign_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(Invalid, match="not a kubeconfig"):
        kubeconfig.merge_into(path, OURS)
    assert path.read_text() == text


@pytest.mark.parametrize("more", [
    {"node_name": "n" * 60}, {"addresses": ["300.1.2.3"]}, {"names": ["münchen.example"]}], ids=["long", "address", "name"])
def test_name_no_certificate_can_hold_is_invalid(tmp_path: Path, more: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="certificate for"):
        pki.ensure(tmp_path, **{"node_name": "n1", "now": NOW} | more)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_printed_pki_shows_no_key(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    assert repr(made) == f"Authority(folder={tmp_path!r}, identities={tmp_path!r})"


@pytest.mark.slow
@pytest.mark.virtual_time
async def test_running_server_takes_up_the_renewed_certificate(tmp_path: Path) -> None:
    clock = VirtualClock(NOW)
    made = ensure(tmp_path, clock.now())
    first = made.leaf_file("apiserver").read_bytes()
    context = made.server_tls("apiserver")
    loop = asyncio.ensure_future(
        pki.keep_renewed(lambda: ensure(tmp_path, clock.now()), [("apiserver", context.load_cert_chain)]))
    days = 0
    while made.leaf_file("apiserver").read_bytes() == first and days < 400:
        await asyncio.sleep(86400)
        days += 1
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert 290 <= days <= 294


def test_kubeconfig_of_a_component_logs_in_as_it(tmp_path: Path) -> None:
    document = ensure(tmp_path).kubeconfig("scheduler", "https://127.0.0.1:6443")
    import base64

    data = base64.b64decode(document["users"][0]["user"]["client-certificate-data"])
    assert x509.load_pem_x509_certificate(data).subject.rfc4514_string() == "CN=system:kube-scheduler"
    assert document["contexts"][0]["context"]["user"] == "wherry-scheduler"
