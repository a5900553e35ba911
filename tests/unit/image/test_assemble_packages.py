"""Debian versions, relations and resolution; recipes and locks."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.container.assemble import lock, versions
from wherry.container.assemble.packages import Archive, parse_depends, parse_package
from wherry.container.assemble.recipe import parse
from wherry.container.assemble.resolve import NotResolvable, resolve
from wherry.kit.errors import Invalid


@pytest.mark.parametrize(("left", "right", "wanted"), [
    ("1.0", "1.0", 0), ("1.0", "1.1", -1), ("1.10", "1.9", 1), ("1:0.1", "9", 1), ("1.0~rc1", "1.0", -1), ("1.0~~", "1.0~", -1),
    ("1.0-1", "1.0-1+b1", -1), ("1.0+deb12u1", "1.0", 1), ("1.0a", "1.0", 1), ("1.0a", "1.0+", -1), ("0:1.0", "1.0", 0),
    ("2.36-9+deb12u14", "2.36-9+deb12u9", 1), ("1.0-1", "1.0", 1), ("1.0-0", "1.0", 0), ("1.0.", "1.0", 1),
])
def test_versions_compare_as_dpkg_does(left, right, wanted):
    assert versions.compare(left, right) == wanted
    assert versions.compare(right, left) == -wanted


@given(st.lists(st.text("0123456789.~+-abAZ:", min_size=1, max_size=8), min_size=3, max_size=3))
def test_comparing_versions_is_an_order(found):
    first, second, third = sorted(found, key=versions.sort_key)
    assert versions.compare(first, second) <= 0 and versions.compare(second, third) <= 0 and versions.compare(first, third) <= 0


def stanza(name: str, version: str = "1", **fields: str) -> str:
    lines = [f"Package: {name}", f"Version: {version}", "Architecture: amd64", f"Filename: pool/{name}_{version}.deb", "Size: 1",
             f"SHA256: {'0' * 64}", *(f"{key.replace('_', '-')}: {value}" for key, value in fields.items())]
    return "\n".join(lines)


def archive(*stanzas: str) -> Archive:
    return Archive([("a/", "\n\n".join(stanzas) + "\n\n")])


def names(found) -> list[str]:
    return [f"{package.name} {package.version}" for package in found]


@pytest.mark.parametrize(("stanzas", "wanted", "result"), [
    pytest.param([stanza("a", Depends="b (>= 2), c | d"), stanza("b", "1"), stanza("b", "2"), stanza("d")], ["a"],
                 ["a 1", "b 2", "d 1"], id="versions and alternatives"),
    pytest.param([stanza("a", Depends="b | c"), stanza("b"), stanza("c")], ["c", "a"], ["a 1", "c 1"],
                 id="an alternative that is chosen already is enough"),
    pytest.param([stanza("a", Depends="mail"), stanza("z", Provides="mail", Priority="standard"), stanza("b", Provides="mail")], ["a"],
                 ["a 1", "z 1"], id="the most important provider"),
    pytest.param([stanza("a", Depends="lib (= 2)"), stanza("b", Provides="lib (= 1)"), stanza("c", Provides="lib (= 2)")], ["a"],
                 ["a 1", "c 1"], id="provided versions count"),
    pytest.param([stanza("a", Depends="b", Pre_Depends="c"), stanza("b", Depends="a"), stanza("c")], ["a"], ["a 1", "b 1", "c 1"],
                 id="circles end"),
    pytest.param([stanza("a", Depends="b:any [amd64] <!nocheck>"), stanza("b")], ["a"], ["a 1", "b 1"], id="qualifiers"),
    pytest.param([stanza("a", "1"), stanza("a", "1.1"), stanza("a", "1~")], ["a (<< 1.1)"], ["a 1"], id="a version asked for"),
])
def test_resolution(stanzas, wanted, result):
    assert names(resolve(archive(*stanzas), wanted, installed={})) == result


def test_what_the_base_has_and_what_is_excluded_is_not_added():
    have = {"b": parse_package(stanza("b"))}
    found = resolve(archive(stanza("a", Depends="b, c, d"), stanza("c"), stanza("d")), ["a"], installed=have, excluded=["d"])
    assert names(found) == ["a 1", "c 1"]


@pytest.mark.parametrize(("stanzas", "installed", "message"), [
    pytest.param([stanza("a", Depends="none (>= 2)")], {}, "'none (>= 2)', needed by a, is not in the archives", id="nothing offers it"),
    pytest.param([stanza("a", Depends="b (>= 2)"), stanza("b", "2")], {"b": parse_package(stanza("b", "1"))},
                 "b 1 is already chosen", id="the base has an older one"),
    pytest.param([stanza("a", Depends="b", Conflicts="c"), stanza("b", Depends="c"), stanza("c")], {}, "exclude each other", id="conflict"),
])
def test_what_cannot_be_resolved_names_the_package_and_the_mend(stanzas, installed, message):
    with pytest.raises(NotResolvable) as caught:
        resolve(archive(*stanzas), ["a"], installed=installed)
    assert message in str(caught.value)


def test_relations_that_cannot_be_read_are_refused():
    with pytest.raises(Invalid):
        parse_depends("a (>= ")


@pytest.mark.parametrize(("text", "message"), [
    ('name = "a"', "name and version are needed"), ('name = "A"\nversion = "1"', "lower-case"),
    ('name = "a"\nversion = "1"\npakages = []', "key 'pakages' is not known"),
    ('name = "a"\nversion = "1"\n[config]\nenvs = {}', "key 'config.envs' is not known"),
    ('name = "a"\nversion = "1"\n[[user]]\nnam = "x"', "[[user]]"),
    ('name = "a"\nversion = "1"\npackages = "x"', "packages is not a list of strings"),
])
def test_mistakes_in_recipes_are_named(text, message):
    with pytest.raises(Invalid) as caught:
        parse(text.encode(), Path("x.toml"))
    assert message in str(caught.value)


def test_a_lock_comes_back_as_it_was_and_names_no_archive():
    package = parse_package(stanza("a", "1:2.0-3"), "http://archive.example/debian/")
    made = lock.Lock("f" * 64, (package,), (lock.LockedWheel("x>=1", "x-1-py3-none-any.whl", "0" * 64),))
    data = lock.dump(made)
    assert b"archive.example" not in data
    found = lock.load(data)
    assert (found.inputs, found.wheels, found.packages[0].sha256, found.packages[0].path) == (
        made.inputs, made.wheels, package.sha256, package.path)
    assert found.fits("amd64", "x86_64") and not found.fits("arm64", "aarch64")
    with pytest.raises(Invalid):
        lock.load(b"{}")
