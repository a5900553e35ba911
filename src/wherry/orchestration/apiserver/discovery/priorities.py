"""In which order clients find group-versions: `groupPriorityMinimum` and `versionPriority` of their APIServices.

Spec:  upstream gives its own groups from 18000 down, what definitions add 1000 and 100 (crdregistration controller).
"""

from functools import cache

from wherry.orchestration.objects.kinds import BUILTIN

FIRST, STEP = 18000, 50
BUILT_IN_VERSION = 15
CUSTOM_GROUP, CUSTOM_VERSION = 1000, 100


@cache
def _built_in() -> dict[tuple[str, str], int]:
    places = dict.fromkeys((resource.group, resource.version) for resource in BUILTIN)
    return {place: FIRST - index * STEP for index, place in enumerate(places)}


def local_priority(group: str, version: str) -> tuple[int, int]:
    """(of the group, of the version) for what this server serves itself."""
    found = _built_in().get((group, version))
    return (CUSTOM_GROUP, CUSTOM_VERSION) if found is None else (found, BUILT_IN_VERSION)
