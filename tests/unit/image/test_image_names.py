"""Image names, digests, documents, platforms, layer names: pure knowledge."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.container.image import digest, documents, layer_names, layer_tar, platform
from wherry.container.image.documents import Descriptor, Index, Platform
from wherry.container.image.layer_tar import Entry
from wherry.container.image.reference import InvalidReference, parse
from wherry.kit.errors import Invalid, NotFound, Unsupported

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(("text", "full", "short"), [
    ("redis", "docker.io/library/redis", "redis"),
    ("redis:7", "docker.io/library/redis:7", "redis:7"),
    ("team/app", "docker.io/team/app", "team/app"),
    ("docker.io/redis", "docker.io/library/redis", "redis"),
    ("index.docker.io/library/redis", "docker.io/library/redis", "redis"),
    ("localhost/app", "localhost/app", "localhost/app"),
    ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
    ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
    ("[::1]:5000/a/b", "[::1]:5000/a/b", "[::1]:5000/a/b"),
    (f"redis:7@{SHA}", f"docker.io/library/redis:7@{SHA}", f"redis:7@{SHA}"),
    ("Host/app", "Host/app", "Host/app"),
    ("a__b/c-d.e", "docker.io/a__b/c-d.e", "a__b/c-d.e"),
])
def test_names_are_normalized(text, full, short):
    assert (str(parse(text)), parse(text).familiar) == (full, short)
    assert parse(full) == parse(text)


@pytest.mark.parametrize(("text", "message"), [
    ("", "invalid reference format"),
    ("Redis", "invalid reference format: repository name (library/Redis) must be lowercase"),
    ("redis:", "invalid reference format"),
    ("redis:a b", "invalid reference format"),
    ("redis@sha256:abc", "invalid checksum digest format"),
    ("redis@abc", "invalid reference format"),
    ("a" * 64, f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings"),
    ("x/" + "b" * 300, "repository name must not be more than 255 characters"),
    ("a//b", "invalid reference format"),
    ("-a", "invalid reference format"),
    ("redis:7\n", "invalid reference format"),
    ("../../etc", "invalid reference format"),
    ("http://host/app", "invalid reference format"),
])
def test_bad_names_are_refused_in_upstreams_words(text, message):
    with pytest.raises(InvalidReference) as caught:
        parse(text)
    assert str(caught.value) == message


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text):
    try:
        reference = parse(text)
    except InvalidReference:
        return
    assert parse(str(reference)) == reference
    assert parse(reference.familiar) == reference


def test_chain_ids_are_as_the_specification_computes_them():
    assert digest.chain_ids((SHA,)) == (SHA,)
    assert digest.chain_ids((SHA, SHA))[1] == digest.of(f"{SHA} {SHA}".encode())


@pytest.mark.parametrize(("data", "error"), [
    (b"[]", Invalid), (b"{", Invalid), (b'{"schemaVersion":1}', Unsupported), (b'{"schemaVersion":2}', Invalid),
    (b'{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:x","size":1}}', Invalid),
    (b'{"schemaVersion":2,"config":{"mediaType":"x","digest":"' + SHA.encode() + b'","size":-1}}', Invalid),
    (b'{"schemaVersion":2,"manifests":{}}', Invalid), (b"[" * 100_000, Invalid),
    (b" " * (documents.DOCUMENT_BYTES_MAX + 1), Invalid),
])
def test_broken_manifests_are_refused(data, error):
    with pytest.raises(error):
        documents.parse(data)


def entry(architecture: str, variant: str = "", os: str = "linux") -> Descriptor:
    return Descriptor(documents.OCI_MANIFEST, digest.of(f"{os}{architecture}{variant}".encode()), 1, {}, Platform(os, architecture, variant))


@pytest.mark.parametrize(("offered", "wanted", "chosen"), [
    pytest.param([entry("arm64", "v8"), entry("amd64")], Platform("linux", "amd64"), entry("amd64"), id="by architecture"),
    pytest.param([entry("arm", "v6"), entry("arm", "v7"), entry("arm", "v5")], Platform("linux", "arm", "v7"), entry("arm", "v7"), id="by variant"),
    pytest.param([entry("arm", "v5"), entry("arm", "v6")], Platform("linux", "arm", "v7"), entry("arm", "v6"), id="next lower variant"),
    pytest.param([entry("arm64")], Platform("linux", "arm64", "v8"), entry("arm64"), id="arm64 is v8"),
    pytest.param([entry("amd64", os="windows"), entry("amd64")], Platform("linux", "amd64"), entry("amd64"), id="by system"),
])
def test_the_index_entry_for_a_platform(offered, wanted, chosen):
    assert platform.choose(Index(documents.OCI_INDEX, tuple(offered)), wanted) == chosen


def test_no_entry_for_the_platform_names_what_there_is():
    with pytest.raises(NotFound, match="no match for platform in manifest: want linux/s390x, the index has linux/amd64"):
        platform.choose(Index(documents.OCI_INDEX, (entry("amd64"),)), Platform("linux", "s390x"))


@pytest.mark.parametrize(("name", "cleaned"), [
    ("./a/b", "a/b"), ("/a//b/", "a/b"), ("../../a", "a"), ("a/../../b", "b"), (".", ""), ("a/./b/..", "a"),
])
def test_paths_in_layers_are_cleaned(name, cleaned):
    assert layer_names.clean(name) == cleaned


@given(st.text(max_size=80))
def test_a_cleaned_path_never_leads_out(name):
    try:
        parts = layer_names.clean(name).split("/")
    except Invalid:
        return
    assert ".." not in parts and "." not in parts


def written(entries, **more) -> bytes:
    file = io.BytesIO()
    layer_tar.write(file, entries, **more)
    return file.getvalue()


@given(st.lists(st.sampled_from(["a", "a/b", "a/c", "b", "b/x/y", "é/ü"]), unique=True), st.randoms())
def test_the_same_entries_in_any_order_give_the_same_tar(paths, random):
    entries = [Entry(path, data=path.encode()) for path in paths]
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert written(entries) == written(shuffled)


def test_layers_for_buildpacks_have_absolute_names_and_folders_end_with_a_slash():
    data = written([Entry("cnb", "folder", 0o755), Entry("cnb/x", "symlink", target="/y")], absolute_names=True)
    assert data[:6] == b"/cnb/\0"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [member.name for member in archive] == ["/cnb", "/cnb/x"]


def test_hard_links_come_after_what_they_name():
    data = written([Entry("a", "hardlink", target="z"), Entry("z", data=b"1")])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [member.name for member in archive] == ["z", "a"]
