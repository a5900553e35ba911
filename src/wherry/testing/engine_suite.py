"""What every container engine promises, as tests. Subclass `EngineSuite` and give it three fixtures.

    engine    a `container.runtime.engine.Engine`, `restore`d
    image     an image id whose root has /bin/sh, sleep, true and false
    log_dir   a folder
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.container.runtime.engine import ContainerConfig, ContainerStatus, Engine, SandboxConfig, State
from wherry.kit.errors import NotFound

WAIT_S = 10.0
SANDBOX = SandboxConfig("suite-sandbox", "box", "suite/besteffort/one", labels={"owner": "suite"})


class EngineSuite:
    """Each test makes its own sandbox and containers; the `engine` fixture removes what is left."""

    def config(self, image: str, log_dir: Path, name: str, *argv: str, attempt: int = 0) -> ContainerConfig:
        return ContainerConfig(
            id=f"suite-{name}-{attempt}", sandbox_id=SANDBOX.id, name=name, attempt=attempt, image=image,
            log_path=str(log_dir / name / f"{attempt}.log"), command=argv, labels={"owner": "suite"},
        )  # fmt: skip

    async def started(self, engine: Engine, config: ContainerConfig) -> None:
        await engine.create_sandbox(SANDBOX)
        await engine.create_container(config)
        await engine.start_container(config.id)

    async def seen(self, engine: Engine, container_id: str, is_so: Callable[[ContainerStatus], bool]) -> ContainerStatus:
        """The status once `is_so`; bounded."""
        async with asyncio.timeout(WAIT_S):
            while True:
                status = await engine.container_status(container_id)
                if is_so(status):
                    return status
                await asyncio.sleep(0.01)

    async def test_creating_a_sandbox_twice_gives_the_same_one(self, engine: Engine) -> None:
        first = await engine.create_sandbox(SANDBOX)
        assert await engine.create_sandbox(SANDBOX) == first
        assert first.ready and first.address is not None and first.labels == {"owner": "suite"}
        assert [s.id for s in await engine.sandboxes()] == [SANDBOX.id]

    async def test_host_network_has_no_address_of_its_own(self, engine: Engine) -> None:
        assert (await engine.create_sandbox(replace(SANDBOX, host_network=True))).address is None

    @pytest.mark.parametrize("code", [0, 3, 255])
    async def test_exit_code_and_reason_are_kept(self, engine: Engine, image: str, log_dir: Path, code: int) -> None:
        config = self.config(image, log_dir, "app", "/bin/sh", "-c", f"exit {code}")
        await self.started(engine, config)
        ended = await self.seen(engine, config.id, lambda status: status.state == State.EXITED)
        assert (ended.exit_code, ended.reason) == (code, "Error" if code else "Completed")
        assert ended.created_at_ns <= ended.started_at_ns <= ended.finished_at_ns

    async def test_created_container_has_not_started(self, engine: Engine, image: str, log_dir: Path) -> None:
        await engine.create_sandbox(SANDBOX)
        config = self.config(image, log_dir, "app", "sleep", "infinity", attempt=2)
        await engine.create_container(config)
        status = await engine.container_status(config.id)
        assert (status.state, status.started_at_ns, status.attempt) == (State.CREATED, 0, 2)
        assert status.labels == {"owner": "suite"}

    async def test_stop_ends_a_container_and_may_be_repeated(self, engine: Engine, image: str, log_dir: Path) -> None:
        config = self.config(image, log_dir, "app", "sleep", "infinity")
        await self.started(engine, config)
        await engine.stop_container(config.id, grace_s=0)
        assert (await engine.container_status(config.id)).state == State.EXITED
        await engine.stop_container(config.id, grace_s=0)
        await engine.stop_container("suite-unknown", grace_s=0)

    async def test_change_of_state_is_told(self, engine: Engine, image: str, log_dir: Path) -> None:
        config = self.config(image, log_dir, "app", "/bin/sh", "-c", "sleep 0.3; exit 0")
        told: list[str] = []

        async def listen() -> None:
            async for container_id in engine.events():
                told.append(container_id)

        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen(), name="listen")
            await asyncio.sleep(0)
            await self.started(engine, config)
            await self.seen(engine, config.id, lambda status: status.state == State.EXITED)
            async with asyncio.timeout(WAIT_S):
                while config.id not in told:
                    await asyncio.sleep(0.01)
            listening.cancel()

    async def test_log_is_in_the_cri_format(self, engine: Engine, image: str, log_dir: Path) -> None:
        config = self.config(image, log_dir, "app", "/bin/sh", "-c", "echo hello; exit 0")
        await self.started(engine, config)
        await self.seen(engine, config.id, lambda status: status.state == State.EXITED)
        stamp, stream, tag, text = Path(config.log_path).read_text().splitlines()[0].split(" ", 3)
        assert stamp.startswith("20") and (stream, tag, text) == ("stdout", "F", "hello")

    async def test_exec_gives_output_and_code(self, engine: Engine, image: str, log_dir: Path) -> None:
        config = self.config(image, log_dir, "app", "sleep", "infinity")
        await self.started(engine, config)
        found = await engine.exec_sync(config.id, ("sh", "-c", "echo hi; exit 4"), timeout_s=WAIT_S)
        assert (found.exit_code, found.stdout) == (4, b"hi\n")

    async def test_removed_things_are_unknown(self, engine: Engine, image: str, log_dir: Path) -> None:
        config = self.config(image, log_dir, "app", "sleep", "infinity")
        await self.started(engine, config)
        await engine.remove_container(config.id)
        await engine.remove_container(config.id)
        with pytest.raises(NotFound):
            await engine.container_status(config.id)
        assert Path(config.log_path).exists(), "the log outlives the container"
        await engine.remove_sandbox(SANDBOX.id)
        await engine.remove_sandbox(SANDBOX.id)
        assert await engine.sandboxes() == []

    async def test_stopped_sandbox_keeps_its_records(self, engine: Engine, image: str, log_dir: Path) -> None:
        config = self.config(image, log_dir, "app", "sleep", "infinity")
        await self.started(engine, config)
        await engine.stop_sandbox(SANDBOX.id)
        assert [s.ready for s in await engine.sandboxes()] == [False]
        assert (await engine.container_status(config.id)).state == State.EXITED
