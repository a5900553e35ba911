"""Settings of a cluster: made once, kept, refused when they make no sense."""

from pathlib import Path

import pytest

from wherry.assembly import settings
from wherry.kit.errors import Invalid


def test_settings_given_once_are_kept(tmp_path: Path) -> None:
    made = settings.load_or_create(tmp_path / "c", {"api_port": 7443})
    assert settings.load(tmp_path / "c") == made
    assert settings.load_or_create(tmp_path / "c", {}).api_port == 7443


def test_another_port_for_an_existing_cluster_is_refused(tmp_path: Path) -> None:
    settings.load_or_create(tmp_path / "c", {"api_port": 7443})
    with pytest.raises(Invalid, match=r"has api_port=7443, not 8443; use another --data-dir"):
        settings.load_or_create(tmp_path / "c", {"api_port": 8443})


@pytest.mark.parametrize(("given", "text"), [
    pytest.param({"api_port": 0}, "--api-port: 0 is not a port", id="port out of range"),
    pytest.param({"api_port": 10250}, "two ports are the same", id="same port twice"),
    pytest.param({"pod_cidr": "10.96.0.0/24"}, "overlaps", id="ranges overlap"),
    pytest.param({"pod_cidr": "nonsense"}, "--pod-cidr", id="not a range"),
    pytest.param({"service_cidr": "10.96.0.0/30"}, "fewer than 32", id="service range too small"),
    pytest.param({"node_address": "host"}, "--node-address", id="address is a name"),
])
def test_senseless_settings_are_refused_and_nothing_is_written(tmp_path: Path, given: dict[str, object], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        settings.load_or_create(tmp_path / "c", given)
    assert not settings.exists(tmp_path / "c")


def test_a_file_by_a_newer_wherry_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / settings.FILE).write_text('{"warp": 9}')
    with pytest.raises(Invalid, match="warp"):
        settings.load(tmp_path)


def test_no_cluster_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="wherry up --data-dir"):
        settings.load(tmp_path)


def test_the_last_cluster_takes_the_machines_list_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KNOWN_DIR", tmp_path / "known")
    one, other = (settings.ClusterSettings(data_dir=tmp_path / name) for name in ("one", "other"))
    for made in (one, other):
        settings.remember(made)
    settings.forget(one)
    assert [link.name for link in (tmp_path / "known").iterdir()] == [other.id]
    settings.forget(other)
    assert not (tmp_path / "known").exists()
    settings.forget(other)
