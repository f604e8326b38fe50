"""Whether the public address leads to this gateway: one GET of a page that is there for everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorSSLError,
    ClientError,
    ClientSession,
    ClientTimeout,
)

from gateway.ports import Finding
from gateway.settings.models import Settings

PATH = "server.public.base_url"
PAGE = "/openapi.json"


async def look(settings: Settings, seconds: float, *, running: bool) -> AsyncIterator[Finding]:
    """While no gateway runs, nothing behind the address answers: only certificates and names are judged then."""
    base = settings.server.public.base_url
    if base is None:
        return
    yield await _judged(base, seconds, running=running)


async def _judged(base: str, seconds: float, *, running: bool) -> Finding:
    host = urlsplit(base).hostname
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=seconds)) as session,
            session.get(base + PAGE, allow_redirects=False) as response,
        ):
            ours = response.status == 200 and b'"/v1/web/' in await response.read()
            status = response.status
    except ClientConnectorCertificateError as error:
        reason = (
            getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
        )
        remedy = "serve the address with a certificate that is valid for it, with its intermediate ones"
        return Finding(
            severity="error", what=f"its certificate is refused: {reason}", remedy=remedy, path=PATH
        )
    except ClientConnectorSSLError:
        remedy = "put a proxy that ends TLS before the gateway; the gateway itself speaks plain HTTP"
        return Finding(severity="error", what="what answers there speaks no TLS", remedy=remedy, path=PATH)
    except ClientConnectorDNSError:
        remedy = "check the address, and this machine's name servers"
        return Finding(severity="error", what=f"the name {host} leads nowhere", remedy=remedy, path=PATH)
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        return _unreached(f"no answer from {base}: {type(error).__name__}", running=running)
    if ours:
        return Finding(severity="ok", what=f"{base} leads to a gateway", path=PATH)
    return _unreached(f"{base} leads to something else (status {status} for {PAGE})", running=running)


def _unreached(what: str, *, running: bool) -> Finding:
    if not running:
        return Finding(
            severity="warning",
            what=f"{what}; no gateway runs, so this may be as it should",
            remedy="look again while the gateway runs",
            path=PATH,
        )
    return Finding(
        severity="error",
        what=what,
        remedy="see whether the proxy passes this address on to the public listener, and whether this machine may "
        "reach it from inside",
        path=PATH,
    )
