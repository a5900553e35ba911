"""Who is asked about a request: the plugins that look at its resource, in order, and no other."""

import pytest

from wherry.orchestration.apiserver.admission.chain import CREATE, AdmissionRequest, Chain, Place, Plugin
from wherry.orchestration.apiserver.auth.user import ADMIN
from wherry.orchestration.objects.kinds import CONFIG_MAPS, PODS
from wherry.orchestration.objects.resources import Resource
from wherry.testing.api import api_server


class Asked(Plugin):
    def __init__(self, name: str, asked: list[str], places: frozenset[Place] | None) -> None:
        self.places = places
        self._name, self._asked = name, asked

    async def admit(self, request: AdmissionRequest) -> None:
        self._asked.append(f"admit {self._name}")

    async def validate(self, request: AdmissionRequest) -> None:
        self._asked.append(f"validate {self._name}")


@pytest.mark.parametrize(("resource", "names"), [
    pytest.param(PODS, ["pods", "all"], id="one that looks at pods is asked about a pod"),
    pytest.param(CONFIG_MAPS, ["all"], id="and not about a config map"),
])
async def test_only_plugins_that_look_at_the_resource_are_asked(resource: Resource, names: list[str]) -> None:
    asked: list[str] = []
    chain = Chain([Asked("pods", asked, frozenset({("", "pods")})), Asked("all", asked, None)])
    request = AdmissionRequest(CREATE, resource, "default", "a", "", ADMIN, {})
    await chain.admit(request)
    await chain.validate(request)
    assert asked == [f"{step} {name}" for step in ("admit", "validate") for name in names]


async def test_a_config_map_goes_past_what_is_about_other_kinds() -> None:
    async with api_server() as api:
        admit, validate = api.server.writer.chain._looking_at(("", "configmaps"))
    names = {type(plugin).__name__ for plugin in (*admit, *validate)}
    assert names == {"NamespaceLifecycle", "NotEnforced", "AdmissionPolicies", "Webhooks", "Quotas"}
