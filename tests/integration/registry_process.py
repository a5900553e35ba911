"""A registry by itself: TLS, a name and a password. Usage: registry_process.py FOLDER CERTIFICATE PASSWORD_FILE NAME PORT

Serves on loopback until it is killed.
"""

import asyncio
import ssl
import sys
from pathlib import Path

from wherry.container.registry.server import Registry
from wherry.container.registry.settings import RegistrySettings
from wherry.kit.http.server import serve
from wherry.testing.images import content_in


async def main(folder: Path, certificate: Path, password_file: Path, name: str, port: int) -> None:
    """Run until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    registry = Registry(content_in(folder), RegistrySettings(domain=name, password_file=password_file))
    async with serve(registry.handle, host="127.0.0.1", port=port, tls=context):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:4]), sys.argv[4], int(sys.argv[5])))
