"""Events: by the newer group only whole new ones are created, by the older one nearly anything (held to upstream's answers)."""

from typing import Any

import pytest

from wherry.orchestration.objects.kinds import EVENTS, EVENTS_V1
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import validate

AT = "2026-01-02T03:04:05.000006Z"
NEW: Object = {
    "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}, "eventTime": AT,
    "regarding": {"kind": "Pod", "namespace": "default", "name": "p"}, "reportingController": "example.com/c",
    "reportingInstance": "c-1", "action": "Do", "reason": "Because", "note": "n", "type": "Normal", "deprecatedSource": {},
}
OLD: Object = {
    "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}, "eventTime": None, "source": {},
    "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "reportingComponent": "", "reportingInstance": "",
}
LONG = "x" * 129


def told(obj: Object, old: Object | None = None) -> list[str]:
    resource = EVENTS if obj["apiVersion"] == "v1" else EVENTS_V1
    return [f"{cause.field}: {cause.message}" for cause in validate(resource, obj, old)]


def with_namespace(obj: Object, namespace: str, **more: Any) -> Object:
    return {**obj, "metadata": {"name": "e", "namespace": namespace}, **more}


@pytest.mark.parametrize(("change", "causes"), [
    pytest.param({}, [], id="whole"),
    pytest.param({"regarding": {"kind": "Pod", "namespace": "other", "name": "p"}}, [], id="about another namespace"),
    pytest.param({"eventTime": None}, ["eventTime: Required value"], id="no time"),
    pytest.param({"reportingInstance": ""}, ["reportingInstance: Required value"], id="no instance"),
    pytest.param({"action": ""}, ["action: Required value"], id="no action"),
    pytest.param({"reason": ""}, ["reason: Required value"], id="no reason"),
    pytest.param({"note": ""}, [], id="no note"),
    pytest.param({"type": ""}, ['type: Invalid value: "": has invalid value: '], id="no type"),
    pytest.param({"type": "Other"}, ['type: Invalid value: "": has invalid value: Other'], id="another type"),
    pytest.param({"reportingInstance": LONG}, ['reportingInstance: Invalid value: "": can have at most 128 characters'], id="long instance"),
    pytest.param({"action": LONG}, ['action: Invalid value: "": can have at most 128 characters'], id="long action"),
    pytest.param({"reason": LONG}, ['reason: Invalid value: "": can have at most 128 characters'], id="long reason"),
    pytest.param({"note": "x" * 1025}, ['message: Invalid value: "": can have at most 1024 characters'], id="long note"),
    pytest.param({"series": {"count": 1}}, [
        'series.count: Invalid value: "": should be at least 2', "series.lastObservedTime: Required value"], id="series of one"),
    pytest.param({"series": {"count": 2, "lastObservedTime": AT}}, [], id="series"),
    pytest.param({"deprecatedCount": 3}, ['count: Invalid value: "": needs to be unset'], id="old count"),
    pytest.param({"deprecatedSource": {"component": "c"}}, ['source: Invalid value: "": needs to be unset'], id="old source"),
    pytest.param({"deprecatedFirstTimestamp": AT, "deprecatedLastTimestamp": AT}, [
        'firstTimestamp: Invalid value: "": needs to be unset', 'lastTimestamp: Invalid value: "": needs to be unset'], id="old times"),
])
def test_the_newer_group_creates_whole_events_only(change: Object, causes: list[str]) -> None:
    assert told({**NEW, **change}) == causes


def test_a_new_event_names_its_controller_with_a_qualified_name() -> None:
    assert [text.partition(",")[0] for text in told({**NEW, "reportingController": ""})] == [
        "reportingController: Required value", 'reportingController: Invalid value: "": name part must be non-empty',
        'reportingController: Invalid value: "": name part must consist of alphanumeric characters']
    assert len(told({**NEW, "reportingController": "not valid"})) == 1


def test_events_about_what_has_no_namespace_have_their_places() -> None:
    nothing = {"regarding": {"kind": "Node", "name": "n"}}
    assert [bool(told(with_namespace(NEW, n, **nothing))) for n in ("default", "kube-system", "web")] == [False, False, True]
    about = {"involvedObject": {"kind": "Node", "name": "n"}}
    assert [bool(told(with_namespace(OLD, n, **about))) for n in ("default", "kube-system", "web")] == [False, True, True]


def test_an_old_event_may_say_anything() -> None:
    assert told({**OLD, "message": "x" * 2000, "reason": LONG, "type": "Whatever", "action": LONG, "reportingComponent": "not valid"}) == []


def test_an_event_with_a_time_is_a_new_one_by_the_older_group_too() -> None:
    assert [text.partition(": ")[0] for text in told({**OLD, "eventTime": AT})] == [
        "reportingComponent", "reportingComponent", "reportingComponent", "reportingInstance", "action", "reason"]


def test_by_the_newer_group_only_the_series_and_metadata_of_an_event_change() -> None:
    assert told({**NEW, "series": {"count": 2, "lastObservedTime": AT}}, NEW) == []
    assert told({**NEW, "metadata": {**NEW["metadata"], "labels": {"a": "b"}}}, NEW) == []
    assert told({**NEW, "series": {"count": 1, "lastObservedTime": AT}}, NEW) == ['series.count: Invalid value: "": should be at least 2']
    changed = {**NEW, "note": "other", "reason": "Other", "regarding": {"name": "q", "namespace": "default"}}
    assert [text.partition(": ")[0] for text in told(changed, NEW)] == ["involvedObject", "reason", "message"]
    assert told({**OLD, "message": "other"}, OLD) == []
