"""Bodies into objects: duplicates, unknown fields, wrong types, hostile input."""

import json

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.objects.decoding import (
    DEPTH_MAX,
    Malformed,
    UnsupportedMediaType,
    decode,
    prune_unknown,
    strict_error,
    typed,
    unknown_fields,
)
from wherry.orchestration.objects.decoding_yaml import VALUES_MAX
from wherry.orchestration.objects.schema_data import structure_of

POD = structure_of("v1", "Pod")
LEASE = structure_of("coordination.k8s.io/v1", "Lease")
SECRET = structure_of("v1", "Secret")
assert POD and LEASE and SECRET
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
@pytest.mark.slow
def test_json_without_duplicates_reads_as_itself(value):
    decoded = decode(orjson.dumps(value))
    assert decoded.obj == value
    assert decoded.duplicate_fields == ()


@given(st.dictionaries(st.text(st.characters(codec="ascii", exclude_categories=("C",)), min_size=1), st.text(
    st.characters(codec="ascii", exclude_categories=("C",))), max_size=5))
@pytest.mark.slow
def test_yaml_of_quoted_text_reads_as_itself(value):
    body = yaml.safe_dump(value, default_style='"').encode()
    assert decode(body, "application/yaml").obj == value


@pytest.mark.parametrize(("body", "texts"), [
    pytest.param(b'{"a":1,"a":2}', ['duplicate field "a"'], id="at the root"),
    pytest.param(b'{"spec":{"x":[{"y":1,"y":1},{"y":1}]}}', ['duplicate field "spec.x[0].y"'], id="inside a list"),
    pytest.param(rb'{"a\"b":1,"c":"\":\"","d":{"c":"\\"}}', [], id="colons and quotes inside text are not keys"),
    pytest.param(rb'{"a":1,"\u0061":2}', ['duplicate field "a"'], id="escaped spelling of the same key"),
])
def test_duplicate_keys_are_found_with_their_path(body, texts):
    assert list(decode(body).duplicate_fields) == texts


@pytest.mark.parametrize(("text", "value"), [
    pytest.param("yes", True, id="yaml 1.1 boolean"),
    pytest.param("0644", 420, id="octal"),
    pytest.param("12:30", "12:30", id="no base 60"),
    pytest.param("2001-01-01", "2001-01-01", id="no dates"),
    pytest.param("'1'", "1", id="quoted"),
    pytest.param("!!str 1", "1", id="tagged text"),
    pytest.param("1e3", 1000, id="whole float"),
    pytest.param("0.5", 0.5, id="float"),
    pytest.param("", None, id="nothing is null"),
    pytest.param("1.37.0", "1.37.0", id="version is text"),
    pytest.param("|\n  a\n  b\n", "a\nb\n", id="block text"),
    pytest.param("[*x, *x]", [1, 1], id="aliases"),
])
def test_yaml_scalars_read_as_kubernetes_reads_them(text, value):
    assert decode(f"x: &x 1\na: {text}\n".encode(), "application/yaml").obj["a"] == value


def test_yaml_duplicates_name_the_line_and_merge_keys_work():
    decoded = decode(b"a: &a {k: 1}\nb:\n  <<: *a\n  l: 2\n  l: 3\n", "application/yaml")
    assert decoded.obj["b"] == {"k": 1, "l": 3}
    assert decoded.duplicate_fields == ('line 5: key "l" already set in map',)


def test_apply_bodies_may_be_json():
    assert decode(b'{"a": 1}', "application/apply-patch+yaml").obj == {"a": 1}


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
)


@pytest.mark.parametrize(("body", "media_type"), [
    pytest.param(b"", "application/json", id="empty"),
    pytest.param(b"[]", "application/json", id="not an object"),
    pytest.param(b"{", "application/json", id="cut off"),
    pytest.param(b'{"a":' * (DEPTH_MAX + 5) + b"1" + b"}" * (DEPTH_MAX + 5), "application/json", id="deep"),
    pytest.param(b"[" * 100_000, "application/json", id="very deep"),
    pytest.param(b'{"a":"\xff"}', "application/json", id="not UTF-8"),
    pytest.param(b"[" * 200_000, "application/yaml", id="deep yaml flow"),
    pytest.param(b"- " * 200_000, "application/yaml", id="deep yaml block"),
    pytest.param(b"? " * 200_000, "application/yaml", id="deep yaml keys"),
    pytest.param(b"a: &x [*x]", "application/yaml", id="alias inside itself"),
    pytest.param(BOMB, "application/yaml", id="alias bomb"),
    pytest.param(b"a: *nowhere", "application/yaml", id="unknown alias"),
    pytest.param(b"a: !!python/object:os.system x", "application/yaml", id="foreign tag"),
    pytest.param(b"a: .nan", "application/yaml", id="not a number"),
    pytest.param(b"a: b: c", "application/yaml", id="bad yaml"),
])
@pytest.mark.slow
def test_hostile_bodies_are_refused_not_fatal(body, media_type):
    with pytest.raises(Malformed):
        decode(body, media_type)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    for media_type in ("application/json", "application/yaml"):
        try:
            decode(body, media_type)
        except Malformed:
            continue


def test_protobuf_is_refused_by_name():
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json"):
        decode(b"k8s\0", "application/vnd.kubernetes.protobuf")


def pod(**spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}


def test_unknown_fields_are_dropped_and_named_in_order():
    obj = pod(containers=[{"name": "c", "imagePull": "x"}], foo=None)
    obj["metadata"]["unknownMeta"] = 1
    expected = [
        'unknown field "metadata.unknownMeta"', 'unknown field "spec.containers[0].imagePull"',
        'unknown field "spec.foo"',
    ]
    assert unknown_fields(obj, POD) == expected
    fitted = typed(obj, POD)
    assert list(fitted.unknown) == expected
    assert fitted.obj["spec"] == {"containers": [{"name": "c", "resources": {}}]}
    assert strict_error(expected[:2]) == f"strict decoding error: {expected[0]}, {expected[1]}"


def test_null_is_absent_and_zero_inside_lists():
    obj = pod(hostNetwork=None, containers=[{"name": "c", "args": ["a", None]}], nodeSelector={"a": None})
    containers = [{"name": "c", "args": ["a", ""], "resources": {}}]
    assert prune_unknown(obj, POD)["spec"] == {"containers": containers, "nodeSelector": {"a": ""}}


def test_quantities_and_times_take_their_canonical_form():
    obj = pod(containers=[{"name": "c", "resources": {"limits": {"cpu": "1000m", "memory": 1.5, "x/y": "2"}}}])
    obj["metadata"]["creationTimestamp"] = "2026-11-23T08:00:00+02:00"
    fitted = typed(obj, POD).obj
    assert fitted["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1500m", "x/y": "2"}
    assert fitted["metadata"]["creationTimestamp"] == "2026-11-23T06:00:00Z"
    lease = typed({"spec": {"renewTime": "2026-11-23T06:00:00.5Z"}}, LEASE).obj
    assert lease["spec"]["renewTime"] == "2026-11-23T06:00:00.500000Z"


@pytest.mark.parametrize(("spec", "text"), [
    pytest.param({"containers": [{"ports": [{"containerPort": "80"}]}]},
                 "json: cannot unmarshal string into Go struct field "
                 "ContainerPort.spec.containers.ports.containerPort of type int32", id="text for a number"),
    pytest.param({"containers": {}}, "cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
                 "[]v1.Container", id="object for a list"),
    pytest.param({"hostNetwork": "yes"}, "cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
                 id="text for a boolean"),
    pytest.param({"priority": 2**31}, "cannot unmarshal number 2147483648 into Go struct field PodSpec.spec.priority of "
                 "type int32", id="beyond 32 bits"),
    pytest.param({"terminationGracePeriodSeconds": 1.5}, "cannot unmarshal number 1.5 into", id="fraction"),
    pytest.param({"nodeSelector": {"a": True}}, "cannot unmarshal bool into Go struct field PodSpec.spec.nodeSelector of "
                 "type string", id="boolean label"),
    pytest.param({"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}, "quantities must match the regular expression",
                 id="not a quantity"),
])
def test_wrong_types_are_refused_in_gos_words(spec, text):
    with pytest.raises(Malformed) as refused:
        typed(pod(**spec), POD)
    assert str(refused.value).startswith('Pod in version "v1" cannot be handled as a Pod: ')
    assert text in str(refused.value)


def test_secret_data_must_be_base64():
    with pytest.raises(Malformed, match="illegal base64 data at input byte 3"):
        typed({"kind": "Secret", "data": {"a": "abc!"}}, SECRET)
    folded = typed({"kind": "Secret", "data": {"a": "YWJj\nZGVm"}}, SECRET).obj
    assert folded["data"]["a"] == "YWJjZGVm"


@given(JSON_VALUES)
def test_any_json_under_spec_is_fitted_or_refused(value):
    try:
        typed({"kind": "Pod", "spec": value}, POD)
    except Malformed:
        return
    assert json.dumps(value) is not None


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775809", "0x1ffffffffffffffffffff", "1e20"])
def test_a_yaml_number_of_any_size_can_be_written_as_json(number):
    """Beyond 64 bits an integer became a 500: no JSON encoder of ours writes it."""
    orjson.dumps(decode(f"a: {number}".encode(), "application/yaml").obj)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", ":", 'a"', "é"]), st.sampled_from([1, ":", "x:", '":', {}, [{"a": ":"}]])), max_size=6),
    st.sampled_from(["", " ", "\n\t"]), st.sampled_from(["", " "]), st.booleans(),
)
def test_a_key_written_twice_is_found_however_it_is_spaced_or_escaped(
    pairs: list[tuple[str, object]], before: str, after: str, is_ascii: bool,
) -> None:
    members = [f"{json.dumps(key, ensure_ascii=is_ascii)}{before}:{after}{json.dumps(value)}" for key, value in pairs]
    found = decode(f'{{"spec": {{{", ".join(members)}}}}}'.encode())
    keys = [key for key, _ in pairs]
    assert len(found.duplicate_fields) == len({key for key in keys if keys.count(key) > 1})


def test_a_compact_body_may_not_be_deeper_than_any_other():
    """It used to be: what orjson wrote back as it came was not counted."""
    with pytest.raises(Malformed, match="exceeded max depth"):
        decode(b'{"a":' * (DEPTH_MAX + 2) + b"1" + b"}" * (DEPTH_MAX + 2))
    assert decode(b'{"a":' * (DEPTH_MAX - 1) + b"1" + b"}" * (DEPTH_MAX - 1)).obj


@pytest.mark.parametrize("body", [
    pytest.param(b'{"a":[' + b",".join([b"1"] * VALUES_MAX) + b"]}", id="numbers"),
    pytest.param(b'{"a":[' + b",".join([b"{}"] * VALUES_MAX) + b"]}", id="objects"),
    pytest.param(b'{"a":[' + b", ".join([b"[[]]"] * (VALUES_MAX // 2)) + b"]}", id="arrays"),
    pytest.param(b'{"a":[' + b",".join([b'{"b":"c"}'] * (VALUES_MAX // 2)) + b"]}", id="texts in objects"),
])
@pytest.mark.parametrize("media_type", ["application/json", "application/yaml"])
def test_json_of_too_many_values_is_refused_before_it_is_read(monkeypatch, body, media_type):
    monkeypatch.setattr(orjson, "loads", None)
    with pytest.raises(Malformed, match="more than 500000 values"):
        decode(body, media_type)


def test_commas_and_brackets_in_texts_count_for_nothing():
    text = "[{," * VALUES_MAX
    assert decode(orjson.dumps({"a": text, "b": '"'})).obj["a"] == text


@pytest.mark.slow
def test_as_many_values_as_a_body_may_have_are_read():
    assert len(decode(b'{"a":[' + b",".join([b"{}"] * (VALUES_MAX - 2)) + b"]}").obj["a"]) == VALUES_MAX - 2
