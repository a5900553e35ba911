"""The registry over TLS, found by a name no DNS knows, with an authority of its own; and by containerd's hosts.toml."""

import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from wherry.container.content.content import Content
from wherry.container.content.images import ContentImages
from wherry.container.image.layer_tar import Entry
from wherry.container.registry.client import RegistryClient
from wherry.container.registry.push import push_image
from wherry.container.registry.server import Registry
from wherry.container.registry.settings import ClientSettings, RegistrySettings
from wherry.kit.errors import Invalid, Unavailable
from wherry.kit.http.server import serve
from wherry.testing.images import content_in, image_of

NAME = "registry.wherry.local:5050"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return certificate_for(tmp_path / "tls.pem", "registry.wherry.local")


def certificate_for(path: Path, host: str) -> Path:
    """A file with key and certificate, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def tls_registry(content: Content, certificate: Path) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    registry = Registry(content, RegistrySettings(domain=NAME))
    async with serve(registry.handle, host="127.0.0.1", port=0, tls=context) as server:
        yield server.port


def client(port: int, **more) -> RegistryClient:
    return RegistryClient(ClientSettings(**{"hosts_dirs": (), "docker_config": None, "addresses": {NAME: ("127.0.0.1", port)}, **more}))


async def test_an_image_goes_through_tls_to_a_name_without_dns(tmp_path, certificate):
    source, served, other = (content_in(tmp_path / name) for name in ("source", "served", "other"))
    image = await image_of(source, "app:1", [[Entry("a", data=b"1" * 100_000)]], kind="")
    async with tls_registry(served, certificate) as port, client(port, ca_files={NAME: certificate}) as peer:
        await push_image(peer, source, "app:1", f"{NAME}/team/app:1")
        assert (await ContentImages(other, peer).pull(f"{NAME}/team/app:1")).id == image.id


async def test_an_unknown_authority_is_not_trusted(tmp_path, certificate):
    async with tls_registry(content_in(tmp_path / "served"), certificate) as port, client(port) as peer:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await ContentImages(content_in(tmp_path / "other"), peer).pull(f"{NAME}/team/app:1")


@pytest.mark.parametrize("line", ['ca = "tls.pem"', "skip_verify = true"])
async def test_hosts_toml_names_the_authority(tmp_path, certificate, line):
    served = content_in(tmp_path / "served")
    await image_of(served, f"{NAME}/team/app:1", [[Entry("a", data=b"1")]])
    folder = tmp_path / "hosts" / NAME
    folder.mkdir(parents=True)
    (folder / "tls.pem").write_bytes(certificate.read_bytes())
    (folder / "hosts.toml").write_text(f'server = "https://{NAME}"\n{line}\n')
    async with tls_registry(served, certificate) as port, client(port, hosts_dirs=(tmp_path / "hosts",)) as peer:
        assert (await ContentImages(content_in(tmp_path / "other"), peer).pull(f"{NAME}/team/app:1")).size_bytes
    (folder / "hosts.toml").write_text("server = 7 7")
    async with client(1, hosts_dirs=(tmp_path / "hosts",)) as peer:
        with pytest.raises(Invalid, match=r"hosts\.toml"):
            await ContentImages(content_in(tmp_path / "other"), peer).pull(f"{NAME}/team/app:2")
