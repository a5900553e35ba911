"""ComponentStatuses: what runs is Healthy, what does not says why, and nothing of it is stored."""

import pytest

from wherry.kit.errors import Unavailable
from wherry.orchestration.apiserver.serving.components import CONTROLLERS, SCHEDULER
from wherry.testing.api import api_server

PATH = "/api/v1/componentstatuses"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def test_each_part_has_a_row_that_follows_how_it_does() -> None:
    async with api_server() as api:
        with api.server.components.running(CONTROLLERS), api.server.components.running(SCHEDULER):
            _, listed = await api.call("GET", PATH)
            assert listed["kind"] == "ComponentStatusList"
            assert [item["metadata"]["name"] for item in listed["items"]] == ["controller-manager", "etcd-0", "scheduler"]
            assert all(item["conditions"] == [{"type": "Healthy", "status": "True", "message": "ok"}] for item in listed["items"])
        status, one = await api.call("GET", f"{PATH}/scheduler")
        assert (status, one["conditions"][0]["status"]) == (200, "False")
        assert one["conditions"][0]["error"] == "scheduler does not run in this server"
        assert (await api.call("GET", f"{PATH}/etcd-0"))[1]["conditions"][0]["status"] == "True"


async def test_a_store_that_does_not_answer_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_server() as api:
        async def gone() -> None:
            raise Unavailable("the disk is away")

        monkeypatch.setattr(api.server.components, "_check_store", gone)
        _, one = await api.call("GET", f"{PATH}/etcd-0")
        assert one["conditions"] == [{"type": "Healthy", "status": "False", "error": "the disk is away"}]


async def test_rows_of_the_table_selectors_warning_and_unknown_names_are_as_upstream() -> None:
    async with api_server() as api:
        with api.server.components.running(CONTROLLERS):
            response = await api.raw("GET", PATH, accept=TABLE)
            assert ("warning", '299 - "v1 ComponentStatus is deprecated in v1.19+"') in response.headers
            _, table = await api.call("GET", PATH, accept=TABLE)
        assert [row["cells"] for row in table["rows"]] == [
            ["controller-manager", "Healthy", "ok", ""], ["etcd-0", "Healthy", "ok", ""],
            ["scheduler", "Unhealthy", "", "scheduler does not run in this server"]]
        _, chosen = await api.call("GET", f"{PATH}?fieldSelector=metadata.name%3Detcd-0")
        assert [item["metadata"]["name"] for item in chosen["items"]] == ["etcd-0"]
        assert (await api.call("GET", f"{PATH}/nothing"))[0] == 404
        assert (await api.call("POST", PATH, {"metadata": {"name": "x"}}))[0] == 405
