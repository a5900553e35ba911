"""Logs lie where collectors look, under names that tell clusters apart, and one cluster clears only its own."""

import re
from pathlib import Path

import pytest
from agent_rig import pod

from wherry.orchestration.agent.facts.pod import log_folder
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.logs import places
from wherry.orchestration.agent.plan.configs import log_path
from wherry.orchestration.objects.meta import Object


def settings(machine: Path, cluster: str) -> AgentSettings:
    return AgentSettings("n", "192.0.2.2", machine / cluster, machine / "pods", log_links_dir=machine / "containers",
                         log_journal_dir=machine / cluster / "log" / "pods")


def made(where: AgentSettings, uid: str) -> Object:
    found = pod()
    found["metadata"]["uid"] = uid
    places.prepare(where, found)
    path = Path(log_path(found, "main", 0, where))
    path.parent.mkdir()
    path.write_text("a line\n")
    places.link_container(where, found, "main", f"id-of-{uid}", str(path))
    return found


def test_a_collector_finds_the_log_by_both_names(tmp_path: Path) -> None:
    where = settings(tmp_path, "one")
    obj = made(where, "u-1")
    name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
    assert (tmp_path / "pods" / f"{namespace}_{name}_u-1" / "main" / "0.log").read_text() == "a line\n"
    assert (tmp_path / "containers" / f"{name}_{namespace}_main-id-of-u-1.log").read_text() == "a line\n"
    assert (tmp_path / "pods" / log_folder(obj)).stat().st_mode & 0o077 == 0


def test_no_expression_is_compiled_for_a_container(tmp_path: Path) -> None:
    """Each would be kept, and 512 of them are most of a megabyte."""
    re.purge()
    where = settings(tmp_path, "one")
    for number in range(20):
        found = pod()
        found["metadata"]["name"] = f"p-{number}"
        places.link_container(where, found, "main", "id", str(tmp_path / "log"))
    assert len(re._cache) < 20  # type: ignore[attr-defined]


def test_a_pod_that_goes_takes_its_folder_link_and_note_with_it(tmp_path: Path) -> None:
    where = settings(tmp_path, "one")
    obj = made(where, "u-1")
    for _ in range(2):
        places.remove(where, log_folder(obj))
    assert [list(folder.iterdir()) for folder in (tmp_path / "pods", tmp_path / "containers", tmp_path / "one/log/pods")] == [[], [], []]


def test_a_purge_clears_one_cluster_and_leaves_the_other_and_a_kubelet_alone(tmp_path: Path) -> None:
    one, two = settings(tmp_path, "one"), settings(tmp_path, "two")
    made(one, "u-1")
    kept = made(two, "u-2")
    (tmp_path / "pods" / "kube-system_kubelets_u-3").mkdir()
    places.remove_all(one)
    assert sorted(path.name for path in (tmp_path / "pods").iterdir()) == sorted([log_folder(kept), "kube-system_kubelets_u-3"])
    assert len(list((tmp_path / "containers").iterdir())) == 1


def test_a_note_that_leads_elsewhere_removes_nothing(tmp_path: Path) -> None:
    where, precious = settings(tmp_path, "one"), tmp_path / "precious"
    precious.mkdir()
    made(where, "u-1")
    assert where.log_journal_dir is not None
    (where.log_journal_dir / "precious").symlink_to(precious)
    places.remove_all(where)
    assert precious.is_dir()


@pytest.mark.parametrize("again", [0, 1])
def test_the_link_of_a_log_that_is_gone_goes_with_the_next_start(tmp_path: Path, again: int) -> None:
    where = settings(tmp_path, "one")
    obj = made(where, "u-1")
    Path(log_path(obj, "main", 0, where)).unlink()
    newest = log_path(obj, "main", 1, where)
    Path(newest).write_text("")
    for _ in range(again + 1):
        places.link_container(where, obj, "main", "newer", newest)
    assert [path.name.rpartition("-")[2] for path in (tmp_path / "containers").iterdir()] == ["newer.log"]
