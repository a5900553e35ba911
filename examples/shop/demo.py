"""The main job, step by step as a user would type it: a cluster, the shop built from source, a paid order.

In:    a machine on which `make setup` has run; root.
Out:   the cluster, left running; each step with its time; exit code 0 when the order was paid.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = ROOT / ".venv" / "bin"
KUBECTL = ROOT / ".cache" / "clients" / "kubectl"
IMAGES = ("envoy", "postgres", "redis", "nats")
SERVICES = ("users", "orders", "payments")
ENV = {**os.environ, "PATH": f"{BIN}:{KUBECTL.parent}:{os.environ.get('PATH', '')}"}
STEP_LIMIT_S = 900


class Failed(Exception):
    """A step did not end well; the message is the end of what it wrote."""


def command(*argv: str | Path) -> str:
    """Run one command; return its output."""
    done = subprocess.run([str(a) for a in argv], text=True, capture_output=True, env=ENV, timeout=STEP_LIMIT_S)
    if done.returncode:
        raise Failed(f"$ {' '.join(map(str, argv))}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def step(text: str, work: Callable[[], Any]) -> Any:
    """Do the work and say how long it took."""
    sys.stderr.write(f"        ... {text}\r")
    began_at = time.monotonic()
    result = work()
    sys.stderr.write(f"{time.monotonic() - began_at:8.1f} s  {text}\n")
    return result


def at_once(verb: Callable[[str], Any], names: tuple[str, ...]) -> None:
    """Two at a time: what waits for downloads and what computes share the machine."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(verb, names))


def assemble(name: str) -> None:
    step(f"image {name}", lambda: command("wherry", "assemble", name))


def build(name: str) -> None:
    tag = f"registry.wherry.local:5050/shop/{name}:v1"
    step(f"shop/{name} built from source", lambda: command("wherry", "build", HERE / "services" / name, "--tag", tag))


def deploy() -> None:
    command(KUBECTL, "apply", "-f", HERE / "manifests")
    for kind, name in (("statefulset", "postgres"), ("deployment", "redis"), ("deployment", "nats"),
                       *(("deployment", service) for service in SERVICES)):  # fmt: skip
        command(KUBECTL, "-n", "shop", "rollout", "status", f"{kind}/{name}", "--timeout=300s")


def gateway() -> str:
    """Base URL of the gateway, from the cluster's settings."""
    port = json.loads(Path("/var/lib/wherry/node.json").read_text())["gateway_http_port"]
    return f"http://127.0.0.1:{port}"


def buy() -> str:
    """A user, an order, and the wait until payments has marked it paid; the script a reader can run again."""
    return command(sys.executable, HERE / "try.py", gateway())


def main() -> int:
    began_at = time.monotonic()
    try:
        step("cluster up", lambda: command("wherry", "up"))
        at_once(assemble, IMAGES)
        for name in SERVICES:
            build(name)
        step("shop deployed and ready", deploy)
        bought = step("user and order created through the gateway, order paid", buy)
    except Failed as error:
        sys.stderr.write(f"\nthe demo failed:\n{error}\n\nsee also: wherry status, wherry doctor\n")
        return 1
    sys.stdout.write(f"\n{bought}\nthe demo took {time.monotonic() - began_at:.0f} s\n\n")
    sys.stdout.write(
        "the cluster is still running; try next:\n"
        f"  export PATH={BIN}:{KUBECTL.parent}:$PATH\n"
        "  wherry status\n"
        "  kubectl -n shop get pods,svc,pvc,httproutes\n"
        f"  python3 examples/shop/try.py {gateway()}\n"
        "  kubectl -n shop logs deploy/payments\n"
        "  wherry down --purge\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
