"""Selectors: what they match, how they print, and upstream's refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.orchestration.objects import selectors

LABELS = {"app": "web", "tier": "front", "rank": "5", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches", "printed"),
    [
        pytest.param("", True, "", id="empty matches everything"),
        pytest.param("app=web", True, "app=web", id="equal"),
        pytest.param("app==web", True, "app==web", id="double equal"),
        pytest.param("app!=web", False, "app!=web", id="unequal"),
        pytest.param("other!=web", True, "other!=web", id="unequal holds for an absent label"),
        pytest.param("app in (api, web)", True, "app in (api,web)", id="in"),
        pytest.param("app notin (api,web)", False, "app notin (api,web)", id="notin"),
        pytest.param("other notin (a)", True, "other notin (a)", id="notin holds for an absent label"),
        pytest.param("app", True, "app", id="exists"),
        pytest.param("!app", False, "!app", id="does not exist"),
        pytest.param("rank>4", True, "rank>4", id="greater"),
        pytest.param("rank<5", False, "rank<5", id="less"),
        pytest.param("app>4", False, "app>4", id="greater than a word is false"),
        pytest.param("empty=", True, "empty=", id="empty value"),
        pytest.param("empty in (,)", True, "empty in ()", id="empty value in a set"),
        pytest.param("tier=front,app=web", True, "app=web,tier=front", id="sorted by key"),
        pytest.param("in in (in,notin)", False, "in in (in,notin)", id="operator words are also words"),
        pytest.param(" app = web ", True, "app=web", id="spaces"),
        pytest.param("example.com/app!=web", True, "example.com/app!=web", id="prefixed key"),
    ],
)
def test_a_label_selector_matches_and_prints(text: str, matches: bool, printed: str) -> None:
    selector = selectors.parse_labels(text)
    assert selector.matches(LABELS) is matches
    assert str(selector) == printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a=b,", "found '', expected: identifier after ','", id="trailing comma"),
        pytest.param(",a=b", "found ',', expected: !, identifier, or 'end of string'", id="leading comma"),
        pytest.param("a=b c", "found 'c', expected: ',' or 'end of string'", id="two values"),
        pytest.param("a in b", "unable to parse requirement: found 'b' expected: '('", id="no parenthesis"),
        pytest.param("a in (b", "unable to parse requirement: found '', expected: ',' or ')'", id="open parenthesis"),
        pytest.param("a in ()", "for 'in', 'notin' operators, values set can't be empty", id="empty set"),
        pytest.param("a b", "found 'b', expected: in, notin, =, ==, !=, gt, lt", id="unknown operator"),
        pytest.param("a>b", "the value must be an integer", id="greater than a word"),
        pytest.param("a/b/c=d", 'unable to parse requirement: <nil>: Invalid value: "a/b/c"', id="bad key"),
        pytest.param("a=b/c", 'values[0][a]: Invalid value: "b/c": a valid label must be', id="bad value"),
        pytest.param("a=" + "b" * 64, "must be no more than 63", id="long value"),
        pytest.param("a=\x00", "a valid label must be", id="control character"),
    ],
)
def test_a_bad_label_selector_is_refused_with_upstreams_text(text: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        selectors.parse_labels(text)
    assert message in str(caught.value)


def test_label_selector_objects() -> None:
    selector = selectors.from_label_selector(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}
    )
    assert selector.matches(LABELS) and not selector.matches({"app": "web"})
    assert str(selector) == "app=web,tier in (front)"
    assert not selectors.from_label_selector(None).matches(LABELS)
    assert selectors.from_label_selector({}).matches({})
    with pytest.raises(Invalid, match='"Near" is not a valid label selector operator'):
        selectors.from_label_selector({"matchExpressions": [{"key": "a", "operator": "Near"}]})


words = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,10}[A-Za-z0-9])?", fullmatch=True)


@given(st.dictionaries(words, words, max_size=4), st.dictionaries(words, words, max_size=4))
@pytest.mark.slow
def test_a_map_selects_its_supersets(labels: dict[str, str], more: dict[str, str]) -> None:
    selector = selectors.from_map(labels)
    assert selector.matches({**more, **labels})
    assert selector == selectors.parse_labels(str(selector))
    assert selector.matches(more) == (labels.items() <= more.items())


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (selectors.parse_labels, selectors.parse_fields):
        try:
            parse(text)
        except Invalid:
            pass


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        pytest.param("", (), id="empty"),
        pytest.param("metadata.name=a", (("metadata.name", "=", "a"),), id="equal"),
        pytest.param("metadata.name==a", (("metadata.name", "=", "a"),), id="double equal"),
        pytest.param("a!=b,c=", (("a", "!=", "b"), ("c", "=", "")), id="unequal and empty"),
        pytest.param(r"a=b\,c\=d\\", (("a", "=", r"b,c=d" + "\\"),), id="escapes"),
        pytest.param("a=b,,", (("a", "=", "b"),), id="empty terms are skipped"),
    ],
)
def test_a_field_selector_reads(text: str, requirements: tuple[tuple[str, str, str], ...]) -> None:
    assert selectors.parse_fields(text).requirements == requirements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("foo", "invalid selector: 'foo'; can't understand 'foo'", id="no operator"),
        pytest.param(r"a=\x", "invalid field selector: invalid escape sequence: \\x", id="unknown escape"),
        pytest.param("a=b=c", "invalid field selector: unescaped character in value", id="two equals"),
    ],
)
def test_a_bad_field_selector_is_refused(text: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        selectors.parse_fields(text)
    assert message in str(caught.value)


def test_field_selectors_match_by_value() -> None:
    fields = {"spec.nodeName": "n1"}
    get = lambda path: fields.get(path, "")  # noqa: E731
    assert selectors.parse_fields("spec.nodeName=n1,status.phase!=Failed").matches(get)
    assert not selectors.parse_fields("spec.nodeName!=n1").matches(get)
    assert selectors.parse_fields("spec.nodeName=n1").exact("spec.nodeName") == "n1"


@given(st.text(max_size=10))
def test_field_values_survive_printing(value: str) -> None:
    selector = selectors.FieldSelector((("a", "=", value),))
    assert selectors.parse_fields(str(selector)) == selector


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["=", "==", "in", "!=", "notin", "exists", "!"]),
                          st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True)), max_size=3),
       st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")))
def test_where_a_selector_is_only_equalities_they_select_the_same(parts: list[tuple[str, str, list[str]]], labels: dict[str, str]) -> None:
    made = selectors.LabelSelector(tuple(
        selectors.Requirement(key, operator, () if operator in ("exists", "!") else tuple(sorted(values[: 1 if "=" in operator else 2])))
        for key, operator, values in parts))
    wanted = made.equalities()
    if wanted is not None:
        assert made.matches(labels) == all(labels.get(key) == value for key, value in wanted.items())
    assert selectors.LabelSelector(matches_nothing=True).equalities() is None
