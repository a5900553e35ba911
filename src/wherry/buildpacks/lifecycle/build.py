"""Phase 4, build: run bin/build of each buildpack in order.

In:    what was detected, the folders, a runner.
Out:   `Built`: processes, labels and slices of all, who ran; the layers are on disk. `PhaseFailed` 51 when one ends badly.
Spec:  Buildpack API 0.12 "Phase #3: Build".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.buildpacks.lifecycle import environment, layers, plan, sbom, toml_text
from wherry.buildpacks.lifecycle.descriptor import Buildpack, Target
from wherry.buildpacks.lifecycle.detect import Detected, target_env
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.layers import Launch, Process
from wherry.buildpacks.lifecycle.places import Places
from wherry.buildpacks.lifecycle.plan import Entry
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.lifecycle.runner import Runner
from wherry.kit.errors import Invalid


@dataclass(frozen=True, slots=True)
class Built:
    """`processes` are sorted by type; `default_process` is "" when no buildpack named one."""

    group: tuple[Buildpack, ...]
    processes: tuple[Process, ...]
    default_process: str
    labels: tuple[tuple[str, str], ...]
    slices: tuple[tuple[str, ...], ...]

    def document(self) -> dict[str, Any]:
        """metadata.toml, which the launcher of other platforms reads too."""
        return {
            "buildpack-default-process-type": self.default_process or None,
            "buildpacks": [{"id": pack.id, "version": pack.version, "api": pack.api_text} for pack in self.group],
            "processes": [process_document(process, id_key="buildpack-id") for process in self.processes],
        }


async def build(
    places: Places, runner: Runner, detected: Detected, env: Mapping[str, str], target: Target, progress: Progress
) -> Built:
    """Run all of the group."""
    entries, current = detected.entries, environment.base(env)
    launches: list[tuple[Buildpack, Launch]] = []
    for pack in detected.group:
        folder = places.make(places.layers.host / pack.escaped_id)
        own = plan.entries_for(entries, pack)
        chosen = environment.of_buildpack(current, pack, places, target_env(target))
        await _run(places, runner, pack, own, chosen, progress)
        try:
            unmet = layers.read_unmet(folder, frozenset(entry.name for entry in own), pack)
            left = layers.read_layers(folder)
            sbom.collect(pack, folder, left, places.layers.host / "sbom")
            layers.drop_unused(folder)
            launches.append((pack, layers.read_launch(folder, pack)))
        except Invalid as error:
            raise PhaseFailed(Code.BUILD, str(error)) from error
        entries = plan.after(entries, pack, unmet)
        place = places.layers.sub(pack.escaped_id)
        given = [place.sub(layer.name) for layer in left if layer.is_build and layer.has_content]
        current = environment.build_layers(current, given)
    return combine(detected.group, launches)


def combine(group: tuple[Buildpack, ...], launches: list[tuple[Buildpack, Launch]]) -> Built:
    """One list of processes: later buildpacks replace types, the last default wins. Pure."""
    processes: dict[str, Process] = {}
    default = ""
    for _, launch in launches:
        for process in launch.processes:
            processes[process.type] = process
            if process.is_default:
                default = process.type
            elif process.type == default:
                default = ""
    return Built(
        group,
        tuple(processes[kind] for kind in sorted(processes)),
        default,
        tuple(label for _, launch in launches for label in launch.labels),
        tuple(part for _, launch in launches for part in launch.slices),
    )


def process_document(process: Process, *, id_key: str = "buildpackID") -> dict[str, Any]:
    """A process as the image's label has it; in metadata.toml the buildpack stands under `buildpack-id`."""
    made: dict[str, Any] = {
        "type": process.type, "command": list(process.command), "args": list(process.args), "direct": process.is_direct,
        id_key: process.buildpack_id,
    }  # fmt: skip
    if process.working_dir:
        made["working-dir"] = process.working_dir
    if process.exec_env:
        made["exec-env"] = list(process.exec_env)
    return made


async def _run(
    places: Places, runner: Runner, pack: Buildpack, own: tuple[Entry, ...], env: Mapping[str, str], progress: Progress
) -> None:
    with places.temporary() as scratch:
        plan_file = scratch.sub("plan.toml")
        document = [
            {"name": require.name, **({"metadata": require.metadata} if require.metadata else {})}
            for entry in own for require in entry.requires
        ]  # fmt: skip
        places.write(plan_file.host, toml_text.dumps({"entries": document}))
        folder = places.layers.sub(pack.escaped_id)
        given = dict(env)
        if pack.api >= (0, 8):
            given |= {"CNB_LAYERS_DIR": folder.inside, "CNB_BP_PLAN_PATH": plan_file.inside}
        code = await runner.run(
            (f"{pack.inside}/bin/build", folder.inside, places.platform.inside, plan_file.inside),
            env=given, cwd=places.app.inside, output=progress.output,
        )  # fmt: skip
    if code != 0:
        raise PhaseFailed(
            Code.BUILD_BUILDPACK, f"buildpack {pack.name} could not build: bin/build ended with code {code}; its output is above"
        )
