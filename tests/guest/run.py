"""The newcomer's path on a stock Debian 12 guest with systemd and cgroup v2, under QEMU without KVM.

Usage: python tests/guest/run.py CACHE CLIENTS    as root; `make guest` calls it. Ten minutes and more: it wants both cores.
In:    this checkout; a folder that keeps the guest's root between runs; the folder with kubectl.
Out:   one line a step as it ends, then all of them; exit 0 when every step of every stage is ok. Stops after a stage that is not.
       CACHE/last.log has the output of the steps and, after a failed one, the logs of the cluster.
How:   three boots of one disk. The first works like a newcomer and then writes until the machine is killed (SIGKILL of QEMU:
       what the guest had not flushed is gone); the second finds all that was acknowledged and reboots; the third goes on and
       purges. The guest tells its results on the serial console, which is a file here.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGES = (
    "systemd-sysv,udev,dbus,python3,python3-venv,python3-pip,ca-certificates,iproute2,procps,kmod,nftables,crun,conmon,catatonit,"
    "conntrack,busybox-static,linux-image-cloud-amd64,util-linux,e2fsprogs,apt,gpgv,wget"
)
MACHINE_FILES = ("etc/apt", "etc/pip.conf", "usr/local/share/ca-certificates")  # how this machine reaches its registries
DISK_BYTES = 12 << 30
BOOT_S_MAX = 3600  # a busy machine emulates at half the speed of an idle one
WRITES = 25  # acknowledged ones, then the machine is killed
STEP = re.compile(r"RESULT (\S+) (\S+) (ok|failed) (\d+)\s")
UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=journal
ExecStart=/opt/guest/in_guest.sh
[Install]
WantedBy=multi-user.target
"""


def run(*argv: str | Path, **kwargs: object) -> None:
    subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.DEVNULL, **kwargs)  # type: ignore[call-overload]


def make_root(folder: Path) -> None:
    """Debian's packages, as a tar that later runs take from the cache."""
    kept = folder / "root.tar"
    if not kept.exists():
        partial = folder / "partial.tar"
        run("mmdebstrap", "--variant=apt", f"--include={PACKAGES}", "bookworm", partial)
        partial.replace(kept)


def install(root: Path, clients: Path) -> None:
    """Wherry as a user installs it: pip, in a virtual environment."""
    for name in MACHINE_FILES:
        source, target = Path("/") / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
        elif source.exists():
            shutil.copy(source, target)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    source = root / "root/source"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    for place in ("proc", "dev", "sys"):
        run("mount", "--rbind", "--make-rslave", f"/{place}", root / place)
    try:
        plain = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        run("chroot", root, "update-ca-certificates", env=plain, stderr=subprocess.DEVNULL)
        run("chroot", root, "python3", "-m", "venv", "/opt/wherry", env=plain)
        certificates = {"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
        run("chroot", root, "/opt/wherry/bin/pip", "install", "-q", "/root/source", env={**plain, **certificates})
    finally:
        for place in ("sys", "dev", "proc"):
            run("umount", "-R", "-l", root / place)
    guest = root / "opt/guest"
    shutil.copytree(HERE / "manifests", guest / "manifests")
    shutil.copy(HERE / "in_guest.sh", guest / "in_guest.sh")
    (guest / "clients").mkdir()
    shutil.copy(clients / "kubectl", guest / "clients/kubectl")
    (root / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n")
    (root / "etc/systemd/system/guest.service").write_text(UNIT)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "guest.service").symlink_to("/etc/systemd/system/guest.service")


def boot(work: Path, stage: str, watch: Callable[[str], bool]) -> list[tuple[str, str, str, str]]:
    """Run one stage; `watch` sees the console and says when to kill the machine. Return the steps."""
    disk, console = work / "disk.img", work / f"{stage}.log"
    for name, text in (("stage", stage), ("acknowledged", "\n".join(acknowledged(work)) + "\n")):
        (work / name).write_text(text)
        subprocess.run(["debugfs", "-w", "-R", f"rm /opt/guest/{name}", disk], capture_output=True, check=True)
        subprocess.run(["debugfs", "-w", "-R", f"write {work / name} /opt/guest/{name}", disk], capture_output=True, check=True)
    machine = subprocess.Popen([
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35", "-m", "4096", "-smp", "2",
        "-kernel", work / "vmlinuz", "-initrd", work / "initrd",
        "-append", "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 systemd.mask=serial-getty@ttyS0.service",
        "-drive", f"file={disk},if=virtio,format=raw,cache=writeback", "-nic", "user,model=virtio-net-pci",
        "-display", "none", "-serial", f"file:{console}", "-no-reboot",
    ], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        ends_at = time.monotonic() + BOOT_S_MAX
        told = 0
        while machine.poll() is None and time.monotonic() < ends_at:
            time.sleep(1)
            text = console.read_text(errors="replace") if console.exists() else ""
            told = tell(STEP.findall(text), told)
            if watch(text):
                break
        else:
            code = machine.poll()
            if code != 0:
                sys.stdout.write(f"{stage}: the machine {f'took more than {BOOT_S_MAX} s' if code is None else f'ended with code {code}'}\n")
    finally:
        machine.kill()
        machine.wait()
    text = console.read_text(errors="replace")
    tell(STEP.findall(text), told)
    shown = re.search(r"OUTPUT of .*", text, re.DOTALL)
    if shown:
        sys.stdout.write(shown[0][:6000] + "\n")
    return STEP.findall(text)


def tell(steps: list[tuple[str, str, str, str]], told: int) -> int:
    """Print the steps after the first `told`; return how many are told now."""
    for stage, name, word, seconds in steps[told:]:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {stage:10}{name:24}{word:12}{seconds:>5} s\n")
    sys.stdout.flush()
    return len(steps)


def keep_log(disk: Path, target: Path) -> None:
    """The output of every step and, after a failed one, what the cluster's processes wrote: for whoever reads a failure."""
    subprocess.run(["debugfs", "-R", f"dump /root/guest.log {target}", disk], capture_output=True, check=True)


def acknowledged(work: Path) -> list[str]:
    """What the first stage was told is stored."""
    console = work / "first.log"
    return re.findall(r"ACK (w\d+)\s", console.read_text(errors="replace")) if console.exists() else []


def replay_journal(disk: Path) -> None:
    """What the next mount would do, so that debugfs may write into the file system. 1: errors corrected, as after any power cut."""
    code = subprocess.run(["e2fsck", "-p", disk], capture_output=True, check=False).returncode
    if code > 1:
        raise SystemExit(f"e2fsck of the guest's disk after the power cut: code {code}")


STEPS = {
    "first": ("cgroup-v2", "doctor", "up", "pod", "client", "service", "dns", "memory-limit", "volume", "volume-is-full",
              "volume-grows-in-use", "gateway"),
    "killed": ("up-after-power-cut", "acknowledged-writes", "workloads-again", "volume-kept", "gateway-again"),
    "rebooted": ("up-after-reboot", "workloads-again", "volume-kept", "clock-a-day-ahead",
                 "clock-right-again", "down-purge"),
}


def main(argv: Sequence[str]) -> int:
    cache, clients = Path(argv[0]).absolute(), Path(argv[1]).absolute()
    work = cache / f"run-{os.getpid()}"
    root = work / "root"
    cache.mkdir(parents=True, exist_ok=True)
    make_root(cache)
    try:
        root.mkdir(parents=True)
        run("tar", "-xpf", cache / "root.tar", "-C", root, "--numeric-owner")
        install(root, clients)
        for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
            shutil.copy(next((root / "boot").glob(pattern)), work / name)
        with (work / "disk.img").open("wb") as disk:
            disk.truncate(DISK_BYTES)
        run("mke2fs", "-q", "-t", "ext4", "-d", root, work / "disk.img")
        shutil.rmtree(root)
        found: list[tuple[str, str, str, str]] = []
        for stage in STEPS:
            found += boot(work, stage, lambda text, s=stage: s == "first" and text.count("ACK w") >= WRITES)  # type: ignore[misc]
            replay_journal(work / "disk.img")
            keep_log(work / "disk.img", cache / "last.log")
            if not {(name, "ok") for name in STEPS[stage]} <= {(name, word) for there, name, word, _ in found if there == stage}:
                break  # what the next stage would find means nothing
    finally:
        shutil.rmtree(work, ignore_errors=True)
    words = {(stage, name): (word, seconds) for stage, name, word, seconds in found}
    bad = 0
    for stage, names in STEPS.items():
        for name in names:
            word, seconds = words.get((stage, name), ("not reached", "0"))
            bad += word != "ok"
            sys.stdout.write(f"{stage:10}{name:24}{word:12}{seconds:>5} s\n")
    sys.stdout.write(f"{sum(map(len, STEPS.values())) - bad} passed, {bad} failed\n")
    return 1 if bad else 0


if __name__ == "__main__":
    ended_by = [signal.SIGTERM] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGTERM, signal.SIGHUP]
    for number in ended_by:  # a hang-up is ignored under nohup
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # nothing is left then either: machine, mounts, disk
    sys.exit(main(sys.argv[1:]))
