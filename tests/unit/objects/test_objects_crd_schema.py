"""Custom resources by their schema: structure, pruning, defaults, values; and which schemas are structural."""

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.objects.custom.schema import compile_schema
from wherry.orchestration.objects.structure import Shape
from wherry.orchestration.objects.validation import Causes
from wherry.orchestration.objects.validation.crd_structure import check_schema
from wherry.orchestration.objects.validation.patterns import compile_pattern

PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}
ITEM = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "port": {"type": "integer", "default": 80}}}
SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 5, "default": 1},
                "size": {"type": "string", "enum": ["small", "large"]},
                "host": {"type": "string", "pattern": "^[a-z.]+$", "maxLength": 10, "minLength": 2},
                "at": {"type": "string", "format": "date-time"},
                "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": ITEM,
                          "maxItems": 3},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "free": {"type": "object", **PRESERVE},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "template": {"type": "object", "x-kubernetes-embedded-resource": True, **PRESERVE},
                "maybe": {"type": "string", "nullable": True},
                "a": {"type": "string"}, "b": {"type": "string"},
                "ratio": {"type": "number", "multipleOf": 0.1, "exclusiveMinimum": True, "minimum": 0},
            },
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            "not": {"required": ["a", "b"]},
        },
        "status": {"type": "object", **PRESERVE},
    },
}
COMPILED = compile_schema(SCHEMA)


def custom(**spec):
    return {"apiVersion": "e.com/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"a": "x", **spec}}


def test_schema_of_the_tests_is_structural():
    found = Causes()
    check_schema(SCHEMA, "schema", found)
    assert found == []


def test_node_carries_list_types_and_metadata():
    spec = COMPILED.node.fields["spec"]
    assert spec.fields["items"].list_map_keys == ("name",) and spec.fields["items"].list_type == "map"
    assert spec.fields["port"].shape is Shape.INT_OR_STRING
    assert spec.fields["labels"].shape is Shape.MAP
    assert "finalizers" in COMPILED.node.fields["metadata"].fields


def test_pruning_drops_unknown_fields_and_keeps_free_ones():
    obj = custom(foo=1, items=[{"name": "a", "bar": 2}], free={"any": 1}, template={"kind": "Pod", "metadata": {"odd": 1}, "x": 1})
    obj["top"] = 1
    assert COMPILED.prune(obj) == [
        'unknown field "spec.foo"', 'unknown field "spec.items[0].bar"', 'unknown field "spec.template.metadata.odd"',
        'unknown field "top"',
    ]
    assert obj["spec"]["free"] == {"any": 1} and obj["spec"]["template"] == {"kind": "Pod", "metadata": {}, "x": 1}


def test_defaults_fill_what_is_absent_and_null_that_may_not_be_null():
    obj = COMPILED.default(custom(items=[{"name": "a"}], replicas=None, size=None, maybe=None))
    assert obj["spec"] == {"a": "x", "items": [{"name": "a", "port": 80}], "replicas": 1, "maybe": None}


def test_defaults_are_not_shared_between_objects():
    compiled = compile_schema({"type": "object", "properties": {"spec": {"type": "object", **PRESERVE, "default": {"l": []}}}})
    first, second = compiled.default({}), compiled.default({})
    first["spec"]["l"].append(1)
    assert second == {"spec": {"l": []}}


@pytest.mark.parametrize(("spec", "field", "reason", "message"), [
    ({"replicas": "1"}, "spec.replicas", "FieldValueTypeInvalid",
     'Invalid value: "string": spec.replicas in body must be of type integer: "string"'),
    ({"replicas": True}, "spec.replicas", "FieldValueTypeInvalid", 'must be of type integer: "boolean"'),
    ({"replicas": 6}, "spec.replicas", "FieldValueInvalid", "Invalid value: 6: spec.replicas in body should be less than or equal to 5"),
    ({"replicas": 0}, "spec.replicas", "FieldValueInvalid", "should be greater than or equal to 1"),
    ({"size": "huge"}, "spec.size", "FieldValueNotSupported", 'Unsupported value: "huge": supported values: "large", "small"'),
    ({"host": "A!"}, "spec.host", "FieldValueInvalid", "spec.host in body should match '^[a-z.]+$'"),
    ({"host": "a" * 11}, "spec.host", "FieldValueTooLong", "Too long: may not be more than 10 bytes"),
    ({"host": "a"}, "spec.host", "FieldValueInvalid", "should be at least 2 chars long"),
    ({"at": "noon"}, "spec.at", "FieldValueInvalid", 'spec.at in body must be of type date-time: "noon"'),
    ({"port": 1.5}, "spec.port", "FieldValueTypeInvalid", "must be of type integer,string"),
    ({"items": [{"port": 1}]}, "spec.items[0].name", "FieldValueRequired", "Required value"),
    ({"items": [{"name": "a"}, {"name": "a"}]}, "spec.items[1]", "FieldValueDuplicate", 'Duplicate value: {"name":"a"}'),
    ({"items": [{}] * 4}, "spec.items", "FieldValueTooMany", "Too many: 4: must have at most 3 items"),
    ({"tags": ["a", "a"]}, "spec.tags[1]", "FieldValueDuplicate", 'Duplicate value: "a"'),
    ({"labels": {"a": 1}}, "spec.labels.a", "FieldValueTypeInvalid", "must be of type string"),
    ({"template": {"kind": "Pod"}}, "spec.template.apiVersion", "FieldValueRequired", "must not be empty"),
    ({"b": "y"}, "spec", "FieldValueInvalid", "must validate one and only one schema (oneOf). Found 2 valid alternatives"),
    ({"b": "y"}, "spec", "FieldValueInvalid", "must not validate the schema (not)"),
    ({"ratio": 0.25}, "spec.ratio", "FieldValueInvalid", "should be a multiple of 0.1"),
    ({"ratio": 0}, "spec.ratio", "FieldValueInvalid", "should be greater than 0"),
])
def test_values_are_refused_with_upstreams_text(spec, field, reason, message):
    found = COMPILED.validate(custom(**spec))
    assert any((c.field, c.reason) == (field, reason) and message in c.message for c in found), found


def test_good_object_passes_and_missing_root_field_does_not():
    assert COMPILED.validate(custom(replicas=2, port="http", ratio=0.3, maybe=None, at="2026-11-23T06:00:00Z")) == []
    assert [c.field for c in COMPILED.validate({"kind": "X"})] == ["spec"]


def test_unchanged_wrong_value_does_not_block_an_update():
    old = custom(size="huge")
    new = copy.deepcopy(old)
    new["spec"]["replicas"] = 2
    assert COMPILED.validate(new, old) == []
    new["spec"]["replicas"] = 9
    assert [c.field for c in COMPILED.validate(new, old)] == ["spec.replicas"]


@pytest.mark.parametrize(("pattern", "text", "matches"), [
    (r"^a$", "a", True), (r"^a$", "a\n", False), (r"^[[:alpha:]]+$", "abc", True), (r"^[[:alpha:]]+$", "ab1", False),
    (r"^[^[:space:]]+$", "a b", False), (r"^\Qa.b\E$", "a.b", True), (r"^\Qa.b\E$", "axb", False), (r"^\p{L}+\z", "ä", True),
    (r"^[a$]+$", "a$", True), (r"^[]a]+$", "]a", True), (r"^[[a]+$", "[a", True), (r"a\$b", "a$b", True), (r"(?m)^a$", "a\nb", True),
    (r"^[\]$]+$", "]$", True), (r"x*", "", True),
])
def test_patterns_mean_what_re2_means(pattern, text, matches):
    assert (compile_pattern(pattern).search(text) is not None) is matches


@given(st.text(max_size=20))
def test_any_pattern_compiles_or_is_refused(pattern):
    try:
        compile_pattern(pattern)
    except (re.error, OverflowError, RecursionError):
        return


JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
                    lambda i: st.lists(i, max_size=3) | st.dictionaries(st.sampled_from(["a", "items", "name", "free", "spec"]), i))


@given(JSON)
@pytest.mark.slow
def test_any_json_is_pruned_defaulted_and_judged(value):
    obj = {"metadata": {"name": "x"}, "spec": value}
    COMPILED.prune(obj)
    COMPILED.default(obj)
    COMPILED.validate(obj)
    assert COMPILED.prune(copy.deepcopy(obj)) == []


@pytest.mark.parametrize(("schema", "field", "message"), [
    pytest.param(None, "s", "Required value: schemas are required", id="absent"),
    pytest.param({}, "s.type", "Required value: must not be empty at the root", id="untyped root"),
    pytest.param({"type": "string"}, "s.type", "must be object at the root", id="root is text"),
    pytest.param({"type": "object", "properties": {"a": {}}}, "s.properties[a].type",
                 "Required value: must not be empty for specified object fields", id="untyped field"),
    pytest.param({"type": "object", "properties": {"a": {"type": "array"}}}, "s.properties[a].items",
                 "Required value: must be specified", id="list of what"),
    pytest.param({"type": "object", "properties": {"a": {"type": "text"}}}, "s.properties[a].type",
                 'Unsupported value: "text"', id="unknown type"),
    pytest.param({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}},
                 "s.properties[a].uniqueItems", "uniqueItems cannot be set to true", id="unique items"),
    pytest.param({"type": "object", "properties": {"a": {"$ref": "#/x", "type": "object"}}}, "s.properties[a].$ref",
                 "Forbidden: $ref is not supported", id="reference"),
    pytest.param({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}, "s.properties[a].pattern",
                 "must be a valid regular expression", id="bad pattern"),
    pytest.param({"type": "object", "anyOf": [{"type": "object"}]}, "s.anyOf[0].type", "must be empty to be structural", id="typed junctor"),
    pytest.param({"type": "object", "properties": {"a": {"type": "object", "properties": {}, "additionalProperties": False}}},
                 "s.properties[a].additionalProperties", "additionalProperties cannot be set to false", id="closed object"),
    pytest.param({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"},
                 "x-kubernetes-list-type": "map"}}}, "s.properties[a].x-kubernetes-list-map-keys",
                 "Required value: must not be empty if x-kubernetes-list-type is map", id="map without keys"),
    pytest.param({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}},
                 "s.properties[metadata]", "must not specify anything other than name and generateName", id="metadata"),
])
def test_what_is_not_structural_is_refused(schema, field, message):
    found = Causes()
    check_schema(schema, "s", found)
    assert any(c.field == field and message in c.message for c in found), found


KEYWORDS = [
    "type", "properties", "items", "additionalProperties", "required", "enum", "pattern", "minimum", "maxLength", "oneOf", "not",
    "nullable", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-int-or-string", "default", "format",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
]
SCALARS = st.sampled_from(["object", "array", "string", "integer", "map", "set", "a", 1, 0.5, True, False, None, "date-time"])
SCHEMAS = st.recursive(
    SCALARS, lambda i: st.lists(i, max_size=2) | st.dictionaries(st.sampled_from([*KEYWORDS, "a", "b"]), i, max_size=5), max_leaves=25
)


@given(SCHEMAS, JSON)
@pytest.mark.slow
def test_any_schema_is_judged_and_the_structural_ones_work(schema, value):
    found = Causes()
    root = {"type": "object", "properties": {"a": schema if isinstance(schema, dict) else {}}}
    check_schema(root, "s", found)
    if not found:
        compiled = compile_schema(root)
        obj = {"a": value}
        compiled.prune(obj)
        compiled.default(obj)
        compiled.validate(obj)
