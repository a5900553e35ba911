"""What of this machine a build gets, and in which way."""

from pathlib import Path

from wherry.buildpacks.platform import machine


def test_registry_settings_pass_and_the_rest_stays_outside(tmp_path: Path) -> None:
    given = {
        "PIP_INDEX_URL": "https://index.example", "npm_config_registry": "https://npm.example", "HTTPS_PROXY": "http://proxy.example",
        "SSL_CERT_FILE": "/etc/ssl/x", "PIP_CACHE_DIR": "/root/.cache", "npm_config_cache": "/root/.npm", "AWS_SECRET": "s", "PATH": "/bin",
    }  # fmt: skip
    found = machine.look(given, tmp_path, "/home/cnb")
    assert set(found.env) == {"PIP_INDEX_URL", "npm_config_registry", "SSL_CERT_FILE"}
    assert found.proxies == {"HTTPS_PROXY": "http://proxy.example"}


def test_configuration_files_are_mounted_with_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(f"[global]\nfind-links =\n    {tmp_path}/wheels\n    {tmp_path}/missing\n")
    (tmp_path / ".npmrc").write_text(f"//npm.example/:_authToken=t\ncafile={tmp_path}/ca.pem\n")
    found = machine.look({}, tmp_path, "/home/cnb")
    targets = {given.target: given.source for given in found.private}
    assert targets["/home/cnb/.npmrc"] == tmp_path / ".npmrc"
    assert targets["/home/cnb/.config/pip/pip.conf"] == tmp_path / ".config/pip/pip.conf"
    shared = {given.target for given in found.shared}
    assert {f"{tmp_path}/wheels", f"{tmp_path}/ca.pem"} <= shared
    assert f"{tmp_path}/missing" not in shared


def test_broken_configuration_is_still_mounted(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text("= nothing [ at all")
    assert [given.target for given in machine.look({}, tmp_path, "/h").private if given.source.parent == tmp_path] == ["/h/.npmrc"]
