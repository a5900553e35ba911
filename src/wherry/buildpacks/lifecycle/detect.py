"""Phase 2, detect: which buildpacks build this source, and what they need of each other.

In:    an order, the buildpacks, the folders, a runner.
Out:   `Detected`; or `PhaseFailed` 20 (nobody is in charge), 21 (and somebody broke), whose message says what each said.
Spec:  Buildpack API 0.12 "Phase #1: Detection"; Platform API 0.15 "detector".
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.buildpacks.lifecycle import environment, order, plan, toml_text
from wherry.buildpacks.lifecycle.descriptor import Buildpack, Order, Packs, Target
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.order import Group
from wherry.buildpacks.lifecycle.places import Places
from wherry.buildpacks.lifecycle.plan import Alternative, Candidate, Entry
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.lifecycle.runner import Runner
from wherry.kit.errors import Invalid

PASSED, FAILED = 0, 100
PARALLEL_MAX = 8
OUTPUT_BYTES_MAX = 64 << 10
REASON_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Detected:
    """The buildpacks that build, in order, and their plan."""

    group: tuple[Buildpack, ...]
    entries: tuple[Entry, ...]

    def group_document(self) -> dict[str, Any]:
        """group.toml."""
        return {
            "group": [
                {"id": pack.id, "version": pack.version, "api": pack.api_text, "homepage": pack.homepage or None}
                for pack in self.group
            ]
        }

    def plan_document(self) -> dict[str, Any]:
        """plan.toml."""
        return {"entries": [_entry_document(entry) for entry in self.entries]}


@dataclass(frozen=True, slots=True)
class Run:
    """One bin/detect's end."""

    code: int
    output: str
    alternatives: tuple[Alternative, ...] = ()


class Detector:
    """Detection of one build. Every buildpack is asked once, however many groups name it."""

    def __init__(
        self, places: Places, runner: Runner, env: Mapping[str, str], target: Target, progress: Progress
    ) -> None:
        self._places = places
        self._runner = runner
        self._env = environment.base(env)
        self._target = target
        self._progress = progress
        self._runs: dict[Buildpack, Run] = {}
        self._limit = asyncio.Semaphore(PARALLEL_MAX)

    async def detect(self, wanted: Order, packs: Packs) -> Detected:
        """The first group of the order that passes."""
        unresolved: list[str] = []
        for group in order.expand(wanted, packs):
            async with asyncio.TaskGroup() as tasks:
                for member in group:
                    if member.pack not in self._runs:
                        tasks.create_task(self._ask(member.pack), name="detect")
            try:
                found = self._resolve(group)
            except plan.Unresolved as error:
                unresolved.append(str(error))
                continue
            if found is not None:
                self._report(group, found)
                return found
        raise self._failure(unresolved)

    def _resolve(self, group: Group) -> Detected | None:
        for member in group:
            is_wrong_place = not member.pack.fits(self._target)
            if not member.is_optional and (self._runs[member.pack].code != PASSED or is_wrong_place):
                return None
        candidates = tuple(
            Candidate(member, self._runs[member.pack].alternatives)
            for member in group if self._runs[member.pack].code == PASSED
        )  # fmt: skip
        if not candidates:
            return None
        resolved = plan.resolve(candidates)
        return Detected(resolved.group, resolved.entries)

    async def _ask(self, pack: Buildpack) -> None:
        async with self._limit:
            self._runs[pack] = await self._run(pack)

    async def _run(self, pack: Buildpack) -> Run:
        collected = bytearray()
        with self._places.temporary() as scratch:
            plan_file = scratch.sub("plan.toml")
            self._places.write(plan_file.host, "")
            env = environment.of_buildpack(self._env, pack, self._places, target_env(self._target))
            if pack.api >= (0, 8):
                env["CNB_BUILD_PLAN_PATH"] = plan_file.inside
            code = await self._runner.run(
                (f"{pack.inside}/bin/detect", self._places.platform.inside, plan_file.inside),
                env=env, cwd=self._places.app.inside, output=collected.extend,
            )  # fmt: skip
            output = bytes(collected[:OUTPUT_BYTES_MAX]).decode(errors="replace").strip()
            if code != PASSED:
                return Run(code, output)
            try:
                return Run(code, output, plan.alternatives(toml_text.read(plan_file.host)))
            except Invalid as error:
                return Run(-1, f"{output}\n{error}".strip())

    def _report(self, group: Group, found: Detected) -> None:
        used = {pack.id for pack in found.group}
        self._progress.line(f"{len(used)} of {len(group)} buildpacks participating")
        width = max(len(pack.id) for pack in found.group)
        for pack in found.group:
            self._progress.line(f"{pack.id:{width}} {pack.version}")

    def _failure(self, unresolved: list[str]) -> PhaseFailed:
        lines, is_broken = [], False
        for pack, run in self._runs.items():
            reason = _reason(run.output)
            if run.code not in (PASSED, FAILED):
                is_broken = True
                lines.append(f"  {pack.name}: detect ended with code {run.code}: {reason or 'no message'}")
            elif run.code == FAILED:
                lines.append(f"  {pack.name}: {reason or 'not in charge'}")
        lines.extend(f"  {problem}" for problem in dict.fromkeys(unresolved))
        code = Code.DETECT_BUILDPACK if is_broken else Code.NONE_DETECTED
        return PhaseFailed(code, "no buildpack can build this source; what was looked for:\n" + "\n".join(lines))


def target_env(target: Target) -> dict[str, str]:
    """CNB_TARGET_*, as far as they are known."""
    name, version = target.distributions[0] if target.distributions else ("", "")
    values = {
        "CNB_TARGET_OS": target.os, "CNB_TARGET_ARCH": target.architecture, "CNB_TARGET_ARCH_VARIANT": target.variant,
        "CNB_TARGET_DISTRO_NAME": name, "CNB_TARGET_DISTRO_VERSION": version,
    }  # fmt: skip
    return {key: value for key, value in values.items() if value}


def _reason(output: str) -> str:
    return " ".join(output.split())[-REASON_CHARACTERS_MAX:]


def _entry_document(entry: Entry) -> dict[str, Any]:
    requires = [{"name": one.name, **({"metadata": one.metadata} if one.metadata else {})} for one in entry.requires]
    return {"providers": [{"id": pack.id, "version": pack.version} for pack in entry.providers], "requires": requires}
