"""Requests per second of the HTTP front on one core: a 3 KB JSON body, 16 connections, plain and over TLS.

Usage: python bench/http_front.py [--seconds 5] [--small] [--record]    needs wrk (apt install wrk) and openssl
Prints one JSON line per figure; `--small` is a smoke run of half a second.
"""

import asyncio
import json
import re
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import figures

from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import serve

BODY = json.dumps({"items": [{"name": f"pod-{index}", "phase": "Running"} for index in range(76)]}).encode()
CONNECTIONS = 16


async def answer(request: Request) -> Response:
    return Response(200, [("content-type", "application/json")], BODY)


def server_context(folder: Path) -> ssl.SSLContext:
    cert, key = folder / "cert", folder / "key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=bench", "-keyout", key, "-out", cert], check=True, capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


async def measure(context: ssl.SSLContext | None, seconds: float) -> float:
    async with serve(answer, tls=context) as server:
        scheme = "https" if context else "http"
        process = await asyncio.create_subprocess_exec(
            "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", f"{scheme}://127.0.0.1:{server.port}/",
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    found = re.search(rb"Requests/sec:\s+([\d.]+)", out)
    if found is None or b"Non-2xx" in out or b"Socket errors" in out:
        sys.exit(f"wrk saw errors:\n{out.decode()}")
    return float(found.group(1))


async def measured(options: figures.Options) -> figures.Figures:
    seconds = 0.5 if options.small else options.seconds
    with tempfile.TemporaryDirectory() as folder:
        contexts = {"plain": None, "tls": server_context(Path(folder))}
        return {name: (await measure(context, seconds), "requests/s") for name, context in contexts.items()}


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--seconds", type=float, default=5)
    figures.run(flags, measured)
