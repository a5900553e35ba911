"""Whole builds over plain processes: what comes back, what is used again, how failures end."""

import asyncio
import json
import os
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest
from buildpack_harness import NAME, Shop, layer, write_pack

from wherry.buildpacks.lifecycle import records, sbom
from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.lifecycle.places import Owner
from wherry.buildpacks.platform.settings import BuildOptions
from wherry.container.content.snapshots import layer_tar
from wherry.kit.errors import Invalid, NotFound

WEB = "printf '[[processes]]\\ntype = \"web\"\\ncommand = [\"serve\", \"it\"]\\ndefault = true\\n' > \"$CNB_LAYERS_DIR/launch.toml\""


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    made = await Shop(tmp_path).with_images()
    (made.app / "index.txt").write_text("hello")
    return made


def pack(shop: Shop, pack_id: str, **fields: str) -> Path:
    return write_pack(shop.root / "packs", pack_id, **fields)


def labels(shop: Shop) -> dict[str, str]:
    return dict(shop.image().config["config"]["Labels"])


def members(shop: Shop, index: int) -> list[str]:
    with layer_tar(shop.content, shop.image().layers[index]) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        return [member.name for member in archive]


async def test_image_has_what_the_launcher_and_other_tools_look_for(shop: Shop) -> None:
    result = await shop.build(pack(shop, "a/b", build="\n".join([layer("dep", "launch", 'echo x > "$CNB_LAYERS_DIR/dep/f"'), WEB])))
    config = shop.image().config
    assert config["config"]["Entrypoint"] == ["/cnb/process/web"]
    assert config["config"]["WorkingDir"] == "/workspace"
    assert config["config"]["User"] == "1001:1000"
    assert {"CNB_LAYERS_DIR=/layers", "CNB_APP_DIR=/workspace", "PATH=/cnb/process:/cnb/lifecycle:/usr/bin:/bin"} <= set(config["config"]["Env"])
    assert [entry["created_by"] for entry in config["history"]] == [
        "Layer: 'dep', Created by buildpack: a/b@1.0", "Application Layer", "Buildpacks Application Launcher",
        "Buildpacks Launcher Config", "Buildpacks Process Types",
    ]  # fmt: skip
    assert members(shop, 0) == ["/layers", "/layers/a_b", "/layers/a_b/dep", "/layers/a_b/dep/f"]
    assert members(shop, 1) == ["/workspace", "/workspace/index.txt"]
    build = json.loads(labels(shop)["io.buildpacks.build.metadata"])
    assert build["processes"] == [{"type": "web", "command": ["serve", "it"], "args": [], "direct": True, "buildpackID": "a/b"}]
    assert (result.default_process, result.layers_added, result.layers_reused) == ("web", 5, 0)


async def test_equal_source_gives_the_equal_image_and_reuses_all(shop: Shop) -> None:
    one = pack(shop, "a", build=WEB)
    first = await shop.build(one)
    again = await shop.build(one)
    assert again.image.id == first.image.id
    assert (again.layers_added, again.layers_reused) == (0, 4)


async def test_changed_line_changes_the_application_layer_only(shop: Shop) -> None:
    one = pack(shop, "a", build="\n".join([layer("dep", "launch"), WEB]))
    await shop.build(one)
    (shop.app / "index.txt").write_text("other")
    assert (await shop.build(one)).layers_added == 1


async def test_launch_layer_without_content_is_taken_from_the_last_image(shop: Shop) -> None:
    # Made at the first build only; then the metadata is there, the content is not, and the flags have to be set again.
    text = f"""
if [ -f "$CNB_LAYERS_DIR/dep.toml" ]; then
  grep -q 'v = "1"' "$CNB_LAYERS_DIR/dep.toml"; ! grep -q types "$CNB_LAYERS_DIR/dep.toml"; [ ! -d "$CNB_LAYERS_DIR/dep" ]
  printf '[types]\\nlaunch = true\\n[metadata]\\nv = "1"\\n' > "$CNB_LAYERS_DIR/dep.toml"
else
  {layer("dep", "launch", 'echo once > "$CNB_LAYERS_DIR/dep/f"', metadata='v = "1"')}
fi
"""
    one = pack(shop, "a", build=text)
    await shop.build(one)
    result = await shop.build(one)
    assert "Restoring metadata for a:dep from app image" in shop.progress.lines
    assert result.layers_added == 0
    assert "/layers/a/dep/f" in members(shop, 0)


async def test_layer_without_content_and_without_last_image_fails_the_export(shop: Shop) -> None:
    one = pack(shop, "a", build="printf '[types]\\nlaunch = true\\n' > \"$CNB_LAYERS_DIR/dep.toml\"")
    with pytest.raises(PhaseFailed, match="no last image") as failed:
        await shop.build(one)
    assert failed.value.code == 62


@pytest.mark.parametrize(("flags", "restored"), [
    pytest.param("cache", True, id="cache"),
    pytest.param("build cache", True, id="build and cache"),
    pytest.param("launch cache", True, id="launch and cache"),
    pytest.param("build", False, id="build alone"),
    pytest.param("launch", False, id="launch alone has no content"),
])  # fmt: skip
async def test_content_comes_back_for_cached_layers_only(flags: str, restored: bool, shop: Shop) -> None:
    text = 'if [ -f "$CNB_LAYERS_DIR/c/n" ]; then echo restored; fi\n' + layer("c", flags, 'echo 1 > "$CNB_LAYERS_DIR/c/n"')
    one = pack(shop, "a", build=text)
    await shop.build(one)
    await shop.build(one)
    assert (b"restored" in shop.progress.text) is restored


async def test_cleared_cache_brings_nothing_back(shop: Shop) -> None:
    one = pack(shop, "a", build='[ ! -d "$CNB_LAYERS_DIR/c" ]\n' + layer("c", "cache"))
    await shop.build(one)
    await shop.build(one, options=BuildOptions(is_cache_cleared=True))


async def test_broken_cache_costs_a_rebuild_and_no_failure(shop: Shop) -> None:
    one = pack(shop, "a", build=layer("c", "cache", 'echo 1 > "$CNB_LAYERS_DIR/c/n"'))
    await shop.build(one)
    for tar in shop.settings.build_cache_dir.glob("*/committed/*.tar"):
        tar.write_bytes(b"rotten")
    await shop.build(one)
    assert [line for line in shop.progress.lines if "not restorable" in line]


async def test_store_is_kept_from_build_to_build(shop: Shop) -> None:
    one = pack(shop, "a", build=(
        'if [ -f "$CNB_LAYERS_DIR/store.toml" ]; then echo had; cat "$CNB_LAYERS_DIR/store.toml"; fi\n'
        "printf '[metadata]\\nn = 7\\n' > \"$CNB_LAYERS_DIR/store.toml\""
    ))  # fmt: skip
    await shop.build(one)
    await shop.build(one)
    assert b"had\n[metadata]\nn = 7" in shop.progress.text


async def test_build_layer_reaches_the_next_buildpack_only(shop: Shop) -> None:
    first = pack(shop, "a", build=layer(
        "tools", "build", 'mkdir -p "$CNB_LAYERS_DIR/tools/bin" "$CNB_LAYERS_DIR/tools/env"', 'echo given > "$CNB_LAYERS_DIR/tools/env/FROM_A"',
        'printf "#!/bin/sh\\necho tool ran" > "$CNB_LAYERS_DIR/tools/bin/a-tool"', 'chmod +x "$CNB_LAYERS_DIR/tools/bin/a-tool"',
    ))  # fmt: skip
    await shop.build(first, pack(shop, "b", build='a-tool; echo "$FROM_A"'))
    assert b"tool ran\ngiven" in shop.progress.text
    assert len(shop.image().layers) == 3  # application, launcher, config


async def test_plan_reaches_the_provider_and_what_it_leaves_the_next(shop: Shop) -> None:
    offer = "printf '[[provides]]\\nname = \"x\"\\n' > \"$CNB_BUILD_PLAN_PATH\""
    want = "printf '[[requires]]\\nname = \"x\"\\n[requires.metadata]\\nv = \"2\"\\n' > \"$CNB_BUILD_PLAN_PATH\""
    show = 'echo "$0"; cat "$CNB_BP_PLAN_PATH"'
    first = pack(shop, "a", detect=offer, build=show + "\nprintf '[[unmet]]\\nname = \"x\"\\n' > \"$CNB_LAYERS_DIR/build.toml\"")
    await shop.build(first, pack(shop, "b", detect=offer, build=show), pack(shop, "c", detect=want, build=show))
    parts = shop.progress.text.decode().split("/bin/build\n")
    assert ['v = "2"' in part for part in parts[1:]] == [True, True, False]


async def test_old_buildpack_gets_arguments_and_no_new_variables(shop: Shop) -> None:
    text = '[ -z "$CNB_LAYERS_DIR" ]; [ -d "$1" ]; [ -d "$2" ]; [ -f "$3" ]\n' \
        "printf '[[processes]]\\ntype = \"web\"\\ncommand = \"serve $PORT\"\\n' > \"$1/launch.toml\""  # fmt: skip
    await shop.build(pack(shop, "a", build=text, api="0.7", extra='[[stacks]]\nid = "*"'))
    build = json.loads(labels(shop)["io.buildpacks.build.metadata"])
    assert (build["processes"][0]["direct"], build["processes"][0]["command"]) == (False, ["serve $PORT"])


async def test_environment_of_user_reaches_buildpacks_but_not_the_image(shop: Shop) -> None:
    await shop.build(pack(shop, "a", build='echo "token is $TOKEN"'), options=BuildOptions(env={"TOKEN": "s3cret"}))
    assert b"token is s3cret" in shop.progress.text
    assert "s3cret" not in json.dumps(dict(shop.image().config))


async def test_nobody_in_charge_says_what_was_looked_for(shop: Shop) -> None:
    with pytest.raises(PhaseFailed, match=r"a@1\.0: no a-file") as failed:
        await shop.build(pack(shop, "a", detect="echo no a-file; exit 100"))
    assert failed.value.code == 20


async def test_broken_detect_has_a_code_of_its_own(shop: Shop) -> None:
    with pytest.raises(PhaseFailed, match="detect ended with code 7: oops") as failed:
        await shop.build(pack(shop, "a", detect="echo oops; exit 7"))
    assert failed.value.code == 21


async def test_failed_build_leaves_last_image_and_cache(shop: Shop) -> None:
    text = layer("c", "cache", 'echo 1 > "$CNB_LAYERS_DIR/c/n"') + '\n[ ! -f "$CNB_PLATFORM_DIR/env/BREAK" ] || exit 9'
    one = pack(shop, "a", build=text)
    first = await shop.build(one)
    with pytest.raises(PhaseFailed, match="ended with code 9") as failed:
        await shop.build(one, options=BuildOptions(env={"BREAK": "1"}))
    assert failed.value.code == 51
    assert shop.image().id == first.image.id
    await shop.build(one)
    assert "Restoring data for a:c from cache" in shop.progress.lines


@pytest.mark.parametrize(("api", "message"), [pytest.param("0.6", "0.7 to 0.12", id="too old"), pytest.param("0.13", "0.7 to 0.12", id="too new")])
async def test_buildpack_of_another_api_is_refused(api: str, message: str, shop: Shop) -> None:
    with pytest.raises(PhaseFailed, match=message) as failed:
        await shop.build(pack(shop, "a", api=api))
    assert failed.value.code == 12


async def test_later_process_replaces_and_takes_the_default_away(shop: Shop) -> None:
    second = WEB.replace("\\ndefault = true", "").replace("serve", "other")
    result = await shop.build(pack(shop, "a", build=WEB), pack(shop, "b", build=second))
    assert result.default_process == ""
    assert shop.image().config["config"]["Entrypoint"] == ["/cnb/process/web"]  # the only one


async def test_unknown_default_process_names_those_there_are(shop: Shop) -> None:
    with pytest.raises(PhaseFailed, match="'nope' does not exist; the buildpacks made: web"):
        await shop.build(pack(shop, "a", build=WEB), options=BuildOptions(process="nope"))


async def test_slices_become_layers_of_their_own(shop: Shop) -> None:
    (shop.app / "static").mkdir()
    (shop.app / "static/a.css").write_text("a")
    await shop.build(pack(shop, "a", build="printf '[[slices]]\\npaths = [\"static/*\"]\\n' > \"$CNB_LAYERS_DIR/launch.toml\""))
    assert members(shop, 0) == ["/workspace", "/workspace/static", "/workspace/static/a.css"]
    assert members(shop, 1) == ["/workspace", "/workspace/index.txt"], "a folder that a slice has is not there again"
    assert len(records.read(labels(shop)[records.LABEL]).app) == 2


async def test_sbom_is_a_layer_and_comes_back(shop: Shop) -> None:
    text = layer("dep", "launch") + '\n[ ! -f "$CNB_LAYERS_DIR/dep.sbom.cdx.json" ] || echo again\necho "{}" > "$CNB_LAYERS_DIR/dep.sbom.cdx.json"'
    one = pack(shop, "a", build=text, extra='sbom-formats = ["application/vnd.cyclonedx+json"]')
    await shop.build(one)
    assert members(shop, 1)[-1] == "/layers/sbom/launch/a/dep/sbom.cdx.json"
    await shop.build(one)
    assert b"again" in shop.progress.text


async def test_sbom_that_was_not_announced_is_refused(shop: Shop) -> None:
    one = pack(shop, "a", build='echo "{}" > "$CNB_LAYERS_DIR/launch.sbom.spdx.json"')
    with pytest.raises(PhaseFailed, match="sbom-formats"):
        await shop.build(one)


async def test_link_in_place_of_an_sbom_cannot_carry_files_of_the_machine_out(shop: Shop) -> None:
    one = pack(shop, "a", build='ln -s /etc/shadow "$CNB_LAYERS_DIR/launch.sbom.cdx.json"', extra='sbom-formats = ["application/vnd.cyclonedx+json"]')
    with pytest.raises(PhaseFailed, match="is a link"):
        await shop.build(one)


async def test_users_folder_is_not_touched_and_rubbish_is_left_out(shop: Shop) -> None:
    for name in (".git/config", "node_modules/x.js", "src/__pycache__/a.pyc", "src/a.py"):
        (shop.app / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.app / name).write_text(name)
    await shop.build(pack(shop, "a", build="rm -r src; echo new > made"))
    assert (shop.app / "src/a.py").exists() and not (shop.app / "made").exists()
    assert members(shop, 0) == ["/workspace", "/workspace/index.txt", "/workspace/made"]


async def test_project_file_chooses_buildpacks_files_and_variables(shop: Shop) -> None:
    (shop.app / "left-out.txt").write_text("x")
    (shop.app / "project.toml").write_text("""
[_]
schema-version = "0.2"
version = "3.1"
[io.buildpacks]
exclude = ["left-*", "project.toml"]
[[io.buildpacks.build.env]]
name = "COLOUR"
value = "blue"
[[io.buildpacks.group]]
id = "inline/hello"
[io.buildpacks.group.script]
api = "0.10"
inline = "echo $COLOUR > colour.txt"
""")
    result = await shop.build(pack(shop, "unused", detect="exit 100"))
    assert result.buildpacks == ("inline/hello@0.0.0",)
    assert members(shop, 0) == ["/workspace", "/workspace/colour.txt", "/workspace/index.txt"]
    assert json.loads(labels(shop)["io.buildpacks.project.metadata"])["source"]["version"] == {"declared": "3.1"}


async def test_program_left_behind_does_not_hold_the_build_up(shop: Shop) -> None:
    async with asyncio.timeout(8):
        await shop.build(pack(shop, "a", build="sleep 10 & echo done"))
    assert b"done" in shop.progress.text


async def test_nothing_is_left_of_a_build(shop: Shop) -> None:
    await shop.build(pack(shop, "a"))
    with pytest.raises(PhaseFailed):
        await shop.build(pack(shop, "b", build="exit 1"))
    assert list(shop.settings.work_dir.iterdir()) == []


@pytest.mark.parametrize(("name", "error"), [pytest.param("no-such", NotFound, id="missing"), pytest.param("app/index.txt", Invalid, id="a file")])
async def test_source_that_is_no_folder_is_refused(name: str, error: type[Exception], shop: Shop) -> None:
    shop.app = shop.root / name
    with pytest.raises(error):
        await shop.build(pack(shop, "a"))


async def test_bad_image_name_is_refused_before_anything_runs(shop: Shop) -> None:
    with pytest.raises(Invalid):
        await shop.build(pack(shop, "a"), name="Not A Name")
    assert shop.progress.lines == []


def test_own_shell_programs_are_clean() -> None:
    packs = Path(records.__file__).parent.parent / "packs"
    for path in packs.glob("*/bin/*"):
        if path.read_text().startswith("#!/bin/sh"):
            subprocess.run(["sh", "-n", str(path)], check=True)
        else:
            compile(path.read_text(), str(path), "exec")
    assert NAME


async def test_a_new_tag_of_a_repository_finds_what_the_last_one_left(shop: Shop) -> None:
    once = '[ ! -f "$CNB_LAYERS_DIR/c.toml" ] || echo again\n'
    one = pack(shop, "a", build=once + layer("c", "cache", 'echo x > "$CNB_LAYERS_DIR/c/f"') + "\n" + layer("dep", "launch"))
    await shop.build(one, name="example.test/app:commit-1")
    result = await shop.build(one, name="example.test/app:commit-2")
    assert b"again" in shop.progress.text
    assert (result.layers_added, result.layers_reused) == (0, 4), "compared with the image of the other tag"


async def test_previous_image_that_is_not_there_is_not_passed_over(shop: Shop) -> None:
    with pytest.raises(NotFound, match="example.test/gone:1"):
        await shop.build(pack(shop, "a"), options=BuildOptions(previous_image="example.test/gone:1"))


@pytest.mark.skipif(os.geteuid() != 0, reason="files for another user need root")
async def test_restored_sbom_belongs_to_the_buildpacks_user(tmp_path: Path) -> None:
    (tmp_path / "from/a/dep").mkdir(parents=True)
    (tmp_path / "from/a/dep/sbom.cdx.json").write_text("{}")
    sbom.restore("a", "dep", tmp_path / "from", tmp_path, Owner(1234, 2345))
    found = (tmp_path / "dep.sbom.cdx.json").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


async def test_launcher_metadata_says_buildpack_id_and_dates_are_rfc_3339(shop: Shop) -> None:
    date = "1979-05-27T07:32:00Z"
    one = pack(shop, "a/b", build="\n".join([layer("dep", "launch", metadata=f"made = {date}"), WEB]))
    await shop.build(one)
    assert json.loads(labels(shop)[records.LABEL])["buildpacks"][0]["layers"]["dep"]["data"] == {"made": date}
    with layer_tar(shop.content, shop.image().layers[-2]) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        texts = {member.name.rpartition("/")[2]: archive.extractfile(member).read() for member in archive if member.isreg()}  # type: ignore[union-attr]
    process = tomllib.loads(texts["metadata.toml"].decode())["processes"][0]
    assert process["buildpack-id"] == "a/b" and "buildpackID" not in process
