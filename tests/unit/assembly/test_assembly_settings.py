"""Settings of a cluster: made once, kept, refused when they make no sense."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.assembly import components, settings
from wherry.assembly.cluster import ClusterSettings
from wherry.assembly.node import SERVER, WORKER, NodeSettings
from wherry.cli.main import main
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
    pytest.param({"without": ("sheduler",)}, "--without: sheduler is no component; one of apiserver, controllers", id="no component"),
    pytest.param({"node_name": "kubernetes"}, "--node-name: 'kubernetes' is the API server's name", id="node by the API's name"),
    pytest.param({"node_address": "host"}, "--node-address", id="address is a name"),
])
def test_senseless_settings_are_refused_and_nothing_is_written(tmp_path: Path, given: dict[str, object], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        settings.load_or_create(tmp_path / "c", given)
    assert not settings.exists(tmp_path / "c")


@pytest.mark.parametrize("file", [settings.CLUSTER_FILE, settings.NODE_FILE])
def test_a_file_by_a_newer_wherry_is_refused_by_name(tmp_path: Path, file: str) -> None:
    settings.load_or_create(tmp_path, {})
    (tmp_path / file).write_text('{"warp": 9}')
    with pytest.raises(Invalid, match=rf"{file}: unknown settings \['warp'\]"):
        settings.load(tmp_path)


def test_a_cluster_made_when_one_file_had_all_is_read(tmp_path: Path) -> None:
    former = {"name": "second", "node_name": "n", "api_port": 7443, "gateway": False, "pod_cidr": "10.9.0.0/24", "external_ips": True}
    (tmp_path / settings.CLUSTER_FILE).write_text(json.dumps(former))
    found = settings.load(tmp_path)
    assert (found.node_name, found.api_port, found.roles) == ("n", 7443, (SERVER, WORKER))
    assert found.cluster == ClusterSettings(name="second", pod_cidr="10.9.0.0/24", external_ips=True)


def test_a_nodes_file_that_is_gone_is_no_reason_to_guess_its_ports(tmp_path: Path) -> None:
    settings.load_or_create(tmp_path, {"api_port": 7443})
    (tmp_path / settings.NODE_FILE).unlink()
    with pytest.raises(Invalid, match="no cluster in"):
        settings.load(tmp_path)


def test_a_component_left_out_is_no_row_of_the_node_and_a_process_without_rows_is_none(tmp_path: Path) -> None:
    made = settings.load_or_create(tmp_path, {"without": ("scheduler", "gateway")})
    assert settings.load(tmp_path).without == ("scheduler", "gateway")
    assert [row.name for row in components.rows(made, "server")] == ["apiserver", "controllers"]
    assert components.processes(made) == ("server", "agent")


def test_only_a_node_that_joined_renews_its_certificates_itself(tmp_path: Path) -> None:
    names = {row.name for row in components.rows(NodeSettings(tmp_path))}
    joined = {row.name for row in components.rows(NodeSettings(tmp_path, roles=(WORKER,)))}
    assert "certificates" not in names and joined - names == {"certificates"}


def test_a_process_begins_after_a_component_of_another_process_of_this_node(tmp_path: Path) -> None:
    made = NodeSettings(tmp_path, node_port=11250)
    assert components.awaited_port(made, "gateway") == 11250
    assert components.awaited_port(made, "server") == 0
    assert components.awaited_port(replace(made, without=("agent",)), "gateway") == 0


def test_no_cluster_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="wherry up --data-dir"):
        settings.load(tmp_path)


def test_the_last_cluster_takes_the_machines_list_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KNOWN_DIR", tmp_path / "known")
    one, other = (NodeSettings(data_dir=tmp_path / name) for name in ("one", "other"))
    for made in (one, other):
        settings.remember(made)
    settings.forget(one)
    assert [link.name for link in (tmp_path / "known").iterdir()] == [other.id]
    settings.forget(other)
    assert not (tmp_path / "known").exists()
    settings.forget(other)


@pytest.mark.parametrize("words", [("backup", "list"), ("kubectl", "get", "pods"), ("token", "list"), ("deploy", ".")], ids=lambda words: words[0])
def test_a_verb_that_needs_the_server_says_where_it_is_on_a_node_that_joined(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.save(NodeSettings(tmp_path, roles=(WORKER,), api_servers=("10.0.0.1:6443",)))
    verb, *rest = words
    assert main([verb, "--data-dir", str(tmp_path), *rest]) == 1
    assert "this machine joined the cluster of 10.0.0.1:6443: run this on the server's machine" in capsys.readouterr().err
