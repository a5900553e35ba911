"""Calls to an API server over HTTP/1.1 and TLS, with client certificate or bearer token. Connections are reused.

In:    the server's URL and credentials: PEM bytes or paths; a token file is read again when it changes.
Out:   `transport.Transport`.
Never: follows redirects, reads proxies from the environment, logs a credential.
"""

import os
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from wherry.kit.errors import Invalid
from wherry.orchestration.client.errors import Unreachable
from wherry.orchestration.client.transport import REQUEST_TIMEOUT_S, Call, Reply, Stream

CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 64 * 1024
Pem = bytes | str | os.PathLike[str]


class HttpTransport:
    """One API server as one user. Make it anywhere; it opens its session in the running loop at first use."""

    def __init__(
        self,
        url: str,
        *,
        ca: Pem | None = None,
        cert: Pem | None = None,
        key: Pem | None = None,
        token: str = "",
        token_file: str | os.PathLike[str] = "",
        insecure: bool = False,
        server_name: str = "",
    ) -> None:
        self._url = url.rstrip("/")
        self._tls = tls_context(ca, cert, key, insecure=insecure) if url.startswith("https:") else None
        self._token = _TokenFile(Path(token_file)) if token_file else _Token(token)
        self._server_name = server_name or None
        self._session: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []  # their streams go on, their idle connections end by themselves

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._url

    def use_pair(self, path: Path) -> None:
        """Present the certificate and key of this PEM file from the next request on; open streams are not ended."""
        if self._tls is None:
            raise Invalid(f"{self._url} is not spoken to over TLS: no client certificate can be used")
        self._tls.load_cert_chain(path)
        if self._session is not None:  # a connection that is used again and again would outlive its certificate
            self._retired = [session for session in (*self._retired, self._session) if not session.closed]
            self._session = None

    async def send(self, call: Call) -> Reply:
        limit = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with self._request(call, limit) as answer:
                return Reply(answer.status, _headers(answer), await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self._url, call, error) from error

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=call.silence_s or None)
        request = self._request(call, limit)
        try:
            answer = await request.__aenter__()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self._url, call, error) from error
        try:
            yield Stream(answer.status, _headers(answer), self._chunks(answer, call))
        finally:
            answer.close()

    async def close(self) -> None:
        for session in (*self._retired, self._session):
            if session is not None:
                await session.close()
        self._session, self._retired = None, []

    async def _chunks(self, answer: aiohttp.ClientResponse, call: Call) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(self._url, call, error) from error

    def _request(self, call: Call, limit: aiohttp.ClientTimeout) -> "aiohttp.client._RequestContextManager":
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        headers = dict(call.headers)
        if token := self._token.read():
            headers["authorization"] = f"Bearer {token}"
        return self._session.request(
            call.method,
            URL(self._url + call.path).update_query(list(call.query)) if call.query else self._url + call.path,
            data=call.body or None,
            headers=headers,
            timeout=limit,
            allow_redirects=False,
            server_hostname=self._server_name,
            read_bufsize=CHUNK_BYTES,
        )


class _Token:
    def __init__(self, token: str) -> None:
        self._token = token

    def read(self) -> str:
        return self._token


class _TokenFile(_Token):
    """Projected service-account tokens rotate: look at the file's times before each call, read it when they moved."""

    def __init__(self, path: Path) -> None:
        super().__init__("")
        self._path = path
        self._seen = (0, 0)

    def read(self) -> str:
        try:
            stat = self._path.stat()
            if (stat.st_mtime_ns, stat.st_ino) != self._seen:
                self._token = self._path.read_text(encoding="ascii").strip()
                self._seen = (stat.st_mtime_ns, stat.st_ino)
        except OSError as error:
            raise Unreachable(f"token file {str(self._path)!r}: {error.strerror}") from error
        return self._token


def tls_context(ca: Pem | None, cert: Pem | None, key: Pem | None, *, insecure: bool) -> ssl.SSLContext:
    """A client context: system roots without `ca`; no verification only when `insecure`."""
    context = ssl.create_default_context()
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=_pem(ca).decode("ascii"))
    # CAs of small clusters often lack the key identifiers that OpenSSL's strict mode (default from 3.13) asks for.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        if key is None:
            raise Invalid("client certificate given without its key: give both")
        _load_pair(context, _pem(cert), _pem(key))
    return context


def _load_pair(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    # The ssl module reads pairs from files only; the folder is private to this user and gone at once.
    with tempfile.TemporaryDirectory(prefix="wherry-pair-") as folder:
        path = Path(folder, "pair.pem")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(cert.rstrip() + b"\n" + key.rstrip() + b"\n")
        context.load_cert_chain(path)


def _pem(source: Pem) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise Invalid(f"credential file {str(source)!r}: {error.strerror}") from error


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _unreachable(url: str, call: Call, error: BaseException) -> Unreachable:
    return Unreachable(f"{call.method} {url}{call.path}: {str(error) or type(error).__name__}")
