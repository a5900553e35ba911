"""Who is asked about a request: the plugins that look at its resource, operation and subresource, in order, and no other."""

import pytest

from wherry.orchestration.apiserver.admission.chain import CREATE, DELETE, ITSELF, UPDATE, AdmissionRequest, Chain, Place, Plugin
from wherry.orchestration.apiserver.user import ADMIN
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


@pytest.mark.parametrize(("operation", "subresource", "is_asked"), [
    pytest.param(CREATE, "", True, id="a create"),
    pytest.param(UPDATE, "", False, id="not an update"),
    pytest.param(CREATE, "binding", False, id="not a create of a subresource"),
    pytest.param(DELETE, "", False, id="not a deletion"),
])
async def test_a_plugin_about_creates_of_the_object_is_asked_about(operation: str, subresource: str, is_asked: bool) -> None:
    asked: list[str] = []
    plugin = Asked("new pods", asked, frozenset({("", "pods")}))
    plugin.operations, plugin.subresources = frozenset({CREATE}), ITSELF
    request = AdmissionRequest(operation, PODS, "default", "a", subresource, ADMIN, {})
    chain = Chain([plugin])
    await chain.admit(request)
    await chain.validate(request)
    assert asked == (["admit new pods", "validate new pods"] if is_asked else [])


@pytest.mark.parametrize(("operation", "expected"), [
    pytest.param(CREATE, {"NamespaceLifecycle", "NotEnforced", "AdmissionPolicies", "Webhooks", "Quotas"}, id="created"),
    pytest.param(DELETE, {"NamespaceLifecycle", "AdmissionPolicies", "Webhooks"}, id="deleted"),
])
async def test_a_config_map_goes_past_what_is_about_other_things(operation: str, expected: set[str]) -> None:
    async with api_server() as api:
        request = AdmissionRequest(operation, CONFIG_MAPS, "default", "a", "", ADMIN)
        admit, validate = api.server.writer.chain._looking_at(request)
    names = {type(plugin).__name__ for plugin in (*admit, *validate)}
    assert names == expected
