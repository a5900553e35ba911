"""One HTTP exchange with a registry: TLS, credentials, tokens, redirects, retries.

In:    method, URL, the endpoint it belongs to, what is to be allowed.
Out:   a `Reply` to read from. Statuses are the caller's to judge, except 401, which is answered here.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from wherry.container.content.source import Login
from wherry.container.image.reference import Reference
from wherry.container.image.service import Credentials
from wherry.container.registry import login as logins
from wherry.container.registry.hosts import Endpoint
from wherry.container.registry.settings import ClientSettings
from wherry.kit.errors import Forbidden, Unavailable

log = logging.getLogger(__name__)

TOKEN_BYTES_MAX = 1 << 20
TOKEN_LIFE_S = 60.0  # when the server does not say; the token specification's default
TOKEN_MARGIN_S = 5.0
ERROR_BYTES_MAX = 64 * 1024
ERROR_TEXT_MAX = 400
AGENT = "wherry"
_IDEMPOTENT = ("GET", "HEAD", "DELETE")
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(slots=True)
class Reply:
    """An answer whose body is still to be read."""

    status: int
    headers: Mapping[str, str]  # names in lower-case
    host: str
    error: bytes
    response: aiohttp.ClientResponse

    async def read(self, limit: int) -> bytes:
        """The whole body; `Unavailable` past the limit or when it breaks off."""
        parts: list[bytes] = []
        size = 0
        async for part in self.parts(64 * 1024):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise Unavailable(f"{self.host}: the answer is longer than {limit} bytes")
        return b"".join(parts)

    async def parts(self, size: int) -> AsyncIterator[bytes]:
        """The body as it comes."""
        try:
            async for part in self.response.content.iter_chunked(size):
                yield part
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self.host}: the transfer broke off: {error or type(error).__name__}") from error

    def message(self) -> str:
        """The server's own words about an error, cut short."""
        try:
            errors = json.loads(self.error).get("errors")
            said = "; ".join(f"{one.get('code', '')}: {one.get('message', '')}" for one in errors)
        except (ValueError, AttributeError, TypeError):
            said = self.error.decode(errors="replace").strip()
        return f"{self.status} {said}".strip()[:ERROR_TEXT_MAX]


class Exchange:
    """Sessions and tokens of one client."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._sessions: dict[tuple[object, ...], aiohttp.ClientSession] = {}
        self._tokens: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._plain: dict[str, Endpoint] = {}

    async def close(self) -> None:
        """Idempotent."""
        while self._sessions:
            await self._sessions.popitem()[1].close()

    async def answering(self, candidates: Sequence[Endpoint]) -> Endpoint:
        """The first endpoint that speaks its protocol; remembered."""
        known = self._plain.get(candidates[0].base)
        if known is not None:
            return known
        error: Unavailable | None = None
        for endpoint in candidates:
            try:
                async with self._raw("GET", f"{endpoint.base}/", endpoint, {}, None):
                    self._plain[candidates[0].base] = endpoint
                    return endpoint
            except Unavailable as raised:
                error = error or raised
        assert error is not None
        raise error

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        endpoint: Endpoint,
        reference: Reference,
        login: Login = (),
        *,
        write: bool = False,
        other: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        stream: AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[Reply]:
        """Send, with credentials once they are asked for. `other`: a repository to mount from, for the token's scope."""
        scopes = [f"repository:{reference.path}:{'pull,push' if write else 'pull'}"]
        if other:
            scopes.append(f"repository:{other}:pull")
        sent = {**endpoint.headers, **(headers or {}), "User-Agent": AGENT}
        token = self._known_token(endpoint, scopes, login)
        for attempt in range(self._settings.tries_max):
            final = attempt == self._settings.tries_max - 1
            authorized = {**sent, "Authorization": token} if token else sent
            retried = method in _IDEMPOTENT or (body is not None and method == "PUT")
            try:
                async with self._raw(method, url, endpoint, authorized, stream or body) as reply:
                    if reply.status == 401 and not final and stream is None:
                        answer = await self._authorize(reply, endpoint, reference, scopes, login)
                        if answer and answer != token:
                            token = answer
                            continue
                    if reply.status in (429, 502, 503, 504) and retried and not final:
                        await self._pause(reply, attempt)
                        continue
                    yield reply
                    return
            except _NotSent as error:
                if final or not retried or error.is_certain:
                    raise Unavailable(str(error)) from error
                await asyncio.sleep(0.2 * 2**attempt)

    @asynccontextmanager
    async def _raw(
        self, method: str, url: str, endpoint: Endpoint, headers: Mapping[str, str], data: Any
    ) -> AsyncIterator[Reply]:
        """One request with its redirects; credentials stay with the host they are for."""
        session = self._session(endpoint)
        for _ in range(self._settings.redirects_max + 1):
            try:
                response = await session.request(method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                certain = isinstance(error, aiohttp.ClientConnectorError | ValueError)
                raise _NotSent(f"{urlsplit(url).netloc}: {error or type(error).__name__}", is_certain=certain) from error
            async with response:
                location = response.headers.get("Location", "")
                if response.status not in _REDIRECTS or not location or method not in ("GET", "HEAD"):
                    found = {name.lower(): value for name, value in response.headers.items()}
                    error_body = await _error_body(response)
                    yield Reply(response.status, found, urlsplit(url).netloc, error_body, response)
                    return
            url, headers, session = self._redirected(url, urljoin(url, location), headers, session)
        raise Unavailable(f"{endpoint.host}: more than {self._settings.redirects_max} redirects")

    def _redirected(
        self, old: str, new: str, headers: Mapping[str, str], session: aiohttp.ClientSession
    ) -> tuple[str, Mapping[str, str], aiohttp.ClientSession]:
        before, after = urlsplit(old), urlsplit(new)
        if after.scheme not in ("http", "https") or (before.scheme == "https" and after.scheme == "http"):
            raise Unavailable(f"{before.netloc}: redirects to {after.scheme}://{after.netloc}, which is not followed")
        if (before.scheme, before.netloc) == (after.scheme, after.netloc):
            return new, headers, session
        kept = {name: value for name, value in headers.items() if name.lower() in ("range", "accept", "user-agent")}
        return new, kept, self._session(None)

    async def _authorize(
        self, reply: Reply, endpoint: Endpoint, reference: Reference, scopes: Sequence[str], login: Login
    ) -> str:
        credentials = logins.given(login, reference.domain, endpoint.host)
        if credentials is None:
            credentials = await logins.stored(self._settings.docker_config, reference.domain)
        for challenge in logins.challenges(reply.headers.get("www-authenticate", "")):
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return await self._token(challenge.parameters, endpoint, scopes, credentials, login)
            if challenge.scheme == "basic" and credentials is not None:
                answer = logins.basic(credentials)
                self._remember(endpoint, scopes, login, answer, TOKEN_LIFE_S)
                return answer
        return ""

    async def _token(
        self, asked: Mapping[str, str], endpoint: Endpoint, scopes: Sequence[str], credentials: Credentials | None, login: Login
    ) -> str:
        realm = urlsplit(asked["realm"])
        if realm.scheme != "https" and not endpoint.base.startswith("http://"):
            raise Forbidden(f"{endpoint.host}: asks to get a token over {realm.scheme}, which is not safe")
        wanted = list(dict.fromkeys([*asked.get("scope", "").split(), *scopes]))
        query = [("service", asked["service"])] if asked.get("service") else []
        query += [("scope", scope) for scope in wanted]
        headers = {"User-Agent": AGENT}
        if credentials is not None:
            headers["Authorization"] = logins.basic(credentials)
        url = str(URL(asked["realm"]).update_query(query))
        same = realm.netloc == endpoint.host
        async with self._raw("GET", url, endpoint if same else Endpoint(asked["realm"]), headers, None) as reply:
            if reply.status != 200:
                raise Forbidden(f"{realm.netloc}: no token for {' '.join(scopes)}: {reply.message()}")
            try:
                document = json.loads(await reply.read(TOKEN_BYTES_MAX))
                value = document.get("token") or document["access_token"]
                life_s = float(document.get("expires_in") or TOKEN_LIFE_S)
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise Unavailable(f"{realm.netloc}: its token answer cannot be read") from error
        answer = f"Bearer {value}"
        self._remember(endpoint, scopes, login, answer, life_s)
        return answer

    def _known_token(self, endpoint: Endpoint, scopes: Sequence[str], login: Login) -> str:
        token, until = self._tokens.get(_token_key(endpoint, scopes, login), ("", 0.0))
        return token if until > asyncio.get_running_loop().time() else ""

    def _remember(self, endpoint: Endpoint, scopes: Sequence[str], login: Login, token: str, life_s: float) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = {key: value for key, value in self._tokens.items() if value[1] > now}
        self._tokens[_token_key(endpoint, scopes, login)] = (token, now + life_s - TOKEN_MARGIN_S)

    async def _pause(self, reply: Reply, attempt: int) -> None:
        asked = reply.headers.get("retry-after", "")
        delay_s = float(asked) if asked.isdigit() else 0.5 * 2**attempt
        if delay_s > self._settings.retry_after_s_max:
            raise Unavailable(f"{reply.host}: {reply.message()}; it asks to wait {delay_s:.0f} s")
        await asyncio.sleep(delay_s)

    def _session(self, endpoint: Endpoint | None) -> aiohttp.ClientSession:
        key = _session_key(endpoint)
        found = self._sessions.get(key)
        if found is None:
            found = self._new_session(endpoint)
            self._sessions[key] = found
        return found

    def _new_session(self, endpoint: Endpoint | None) -> aiohttp.ClientSession:
        context = ssl.create_default_context()
        for path in endpoint.ca if endpoint else ():
            context.load_verify_locations(path)
        for certificate, key in endpoint.client if endpoint else ():
            context.load_cert_chain(certificate, key)
        if endpoint is not None and endpoint.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self._settings.connect_timeout_s, sock_read=self._settings.silence_timeout_s
        )
        resolver = _Resolver(self._settings.addresses) if self._settings.addresses else None
        connector = aiohttp.TCPConnector(ssl=context, limit=8, resolver=resolver)
        # Blobs are compressed already, and their digest is over the bytes as stored.
        return aiohttp.ClientSession(connector=connector, timeout=limits, auto_decompress=False, trust_env=True)


class _NotSent(Unavailable):
    """The request did not get an answer. `is_certain`: it will not next time either."""

    def __init__(self, message: str, *, is_certain: bool) -> None:
        super().__init__(message)
        self.is_certain = is_certain


class _Resolver(AbstractResolver):
    """Sends some host names to given addresses, without DNS."""

    def __init__(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        self._addresses = {urlsplit(f"//{name}").hostname: address for name, address in addresses.items()}
        self._other = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        known = self._addresses.get(host)
        if known is None:
            return await self._other.resolve(host, port, family)
        found = await self._other.resolve(known[0], known[1], family)
        return [ResolveResult(**{**one, "hostname": host}) for one in found]

    async def close(self) -> None:
        await self._other.close()


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    if response.status < 400:
        return b""
    try:
        return await response.content.read(ERROR_BYTES_MAX)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return b""


def _session_key(endpoint: Endpoint | None) -> tuple[object, ...]:
    return (endpoint.host, endpoint.ca, endpoint.client, endpoint.skip_verify) if endpoint else ()


def _token_key(endpoint: Endpoint, scopes: Sequence[str], login: Login) -> tuple[str, str, str]:
    who = ",".join(f"{host}={one.username}:{hash(one.password)}" for host, one in login)
    return endpoint.base, " ".join(scopes), who
