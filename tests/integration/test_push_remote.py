"""`wherry push` and `wherry build --push` to a registry elsewhere: another process, found by its name, with TLS and a login.

The name is one that no DNS knows: each command runs in a mount namespace of its own with its own /etc/hosts.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_build_containers import Yard, remains
from test_registry_tls import certificate_for

from wherry.assembly import settings
from wherry.container.content import builder
from wherry.container.content.images import ContentImages
from wherry.container.registry.client import RegistryClient
from wherry.container.registry.settings import ClientSettings
from wherry.kit.errors import NotFound
from wherry.testing.images import content_in
from wherry.testing.ports import free_port

pytestmark = [pytest.mark.node, pytest.mark.timeout(120)]
HOST = "registry.example.test"
WHERRY = Path(sys.executable).with_name("wherry")
INSIDE = 'mount --bind "$0/hosts" /etc/hosts && exec "$@"'
BUILD = r"""
printf '[[processes]]\ntype = "web"\ncommand = ["true"]\n' > "$CNB_LAYERS_DIR/launch.toml"
"""


@dataclass(slots=True)
class Remote:
    """The registry there, and the commands here."""

    root: Path
    yard: Yard
    port: int
    certificate: Path

    @property
    def name(self) -> str:
        return f"{HOST}:{self.port}"

    def log_in(self, password: str) -> None:
        """What `docker login` writes."""
        token = base64.b64encode(f"wherry:{password}".encode()).decode()
        (self.root / "home/.docker/config.json").write_text(json.dumps({"auths": {self.name: {"auth": token}}}))

    async def wherry(self, *words: str, trusts: bool = True) -> tuple[int, str, str]:
        """(exit code, output, errors) of the command on this machine's cluster."""
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        env |= {"HOME": str(self.root / "home"), "WHERRY_DATA_DIR": str(self.yard.root)}
        if trusts:
            env["SSL_CERT_FILE"] = str(self.certificate)
        process = await asyncio.create_subprocess_exec(
            "unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, str(self.root), str(WHERRY), *words,
            env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def pulled(self, reference: str, password: str = "s3cret") -> str:
        """The id of the image that the registry gives for a name."""
        self.log_in(password)
        asking = ClientSettings(
            hosts_dirs=(), docker_config=self.root / "home/.docker/config.json", addresses={self.name: ("127.0.0.1", self.port)},
            ca_files={self.name: self.certificate})
        async with RegistryClient(asking) as client:
            return (await ContentImages(content_in(self.root / f"pulled-{os.urandom(4).hex()}"), client).pull(reference)).id


@pytest.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    yard = Yard(tmp_path / "here")
    await yard.busybox_images()
    settings.load_or_create(yard.root, {})
    root = tmp_path / "there"
    (root / "home/.docker").mkdir(parents=True)
    (root / "hosts").write_text(f"127.0.0.1 localhost {HOST}\n")
    (root / "password").write_text("s3cret\n")
    certificate, port = certificate_for(root / "tls.pem", HOST), free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("registry_process.py")), str(root / "content"), str(certificate),
        str(root / "password"), f"{HOST}:{port}", str(port), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield Remote(root, yard, port, certificate)
    finally:
        process.kill()
        await process.wait()


async def add_image(remote: Remote, name: str) -> str:
    config = builder.new_config()
    config["config"] = {"Env": ["A=1"]}
    return (await builder.write_image(remote.yard.content, config, [], [name])).id


async def test_a_push_goes_to_a_registry_by_its_name_with_tls_and_a_login(remote: Remote) -> None:
    image = await add_image(remote, "wherry.local/app:1")
    remote.log_in("s3cret")
    target = f"{remote.name}/team/app:v1"
    code, out, err = await remote.wherry("push", "wherry.local/app:1", target)
    assert (code, out.startswith(f"{target}@sha256:")) == (0, True), err
    assert await remote.pulled(target) == image


@pytest.mark.parametrize(("password", "trusts", "words"), [
    pytest.param("", True, ("push access denied", "401", HOST, "docker login", "config.json"), id="nobody logged in"),
    pytest.param("wrong", True, ("push access denied", "401", HOST, "docker login"), id="a wrong password"),
    pytest.param("s3cret", False, ("certificate verify failed", HOST), id="an authority that nobody knows"),
])
async def test_a_push_that_is_not_let_in_says_why(remote: Remote, password: str, trusts: bool, words: tuple[str, ...]) -> None:
    await add_image(remote, "wherry.local/app:1")
    if password:
        remote.log_in(password)
    target = f"{remote.name}/team/app:v1"
    code, _, err = await remote.wherry("push", "wherry.local/app:1", target, trusts=trusts)
    assert code in (1, 3) and err.count("\n") == 1 and "Traceback" not in err, err
    assert all(word in err for word in words), err
    assert not password or password not in err
    with pytest.raises(NotFound):
        await remote.pulled(target)


async def test_a_build_with_push_sends_what_it_made_to_a_registry_by_its_name(remote: Remote) -> None:
    remote.log_in("s3cret")
    target = f"{remote.name}/team/built:v1"
    code, out, err = await remote.wherry(
        "build", str(remote.yard.app), "--builder", str(remote.yard.pack(BUILD)), "--tag", target, "--push", "-o", "json")
    assert code == 0, err
    assert f"pushed {target}@sha256:" in err
    assert await remote.pulled(target) == json.loads(out)["image"]
    assert remains() == []
