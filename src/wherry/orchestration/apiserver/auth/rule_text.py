"""A short notation for policy rules, one a line, so that the default roles can be read as a table.

    verbs | groups | resources | names        names are optional; the core group is written `core`
    verbs | urls                              a non-resource rule

`read` is get, list, watch; `write` is create, update, patch, delete, deletecollection. A resource written
`pods+status` stands for `pods` and `pods/status`.
"""

from wherry.orchestration.objects.meta import Object

_VERBS = {
    "read": ("get", "list", "watch"),
    "write": ("create", "update", "patch", "delete", "deletecollection"),
}
EVENTS = "create update patch | core events.k8s.io | events"


def parse_rules(text: str) -> list[Object]:
    """The PolicyRules of `text`."""
    return [_rule([part.split() for part in line.split("|")]) for line in text.strip().splitlines() if line.strip()]


def _rule(columns: list[list[str]]) -> Object:
    verbs = [verb for word in columns[0] for verb in _VERBS.get(word, (word,))]
    if len(columns) == 2:
        return {"nonResourceURLs": columns[1], "verbs": verbs}
    rule: Object = {
        "apiGroups": ["" if group == "core" else group for group in columns[1]],
        "resources": [resource for word in columns[2] for resource in _with_subresources(word)],
        "verbs": verbs,
    }
    if len(columns) > 3:
        rule["resourceNames"] = columns[3]
    return rule


def _with_subresources(word: str) -> list[str]:
    resource, *subresources = word.split("+")
    return [resource, *(f"{resource}/{subresource}" for subresource in subresources)]
