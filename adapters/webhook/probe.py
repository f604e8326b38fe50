"""Whether a callback can lead where it is meant to go. The name is looked up; nothing is sent."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from adapters.ssrf import Guard
from gateway.ports import Finding, Probed
from gateway.settings.models import WebhookSettings

PATH = "callback_url"


async def probe(section: WebhookSettings) -> Probed:
    if section.callback_url is None:
        return Probed()
    host = urlsplit(section.callback_url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        what = f"the name {host} leads nowhere"
        remedy = "check the address, and this machine's name servers"
        return Probed(findings=(Finding(severity="error", what=what, remedy=remedy, path=PATH),))
    guard = Guard(section.callback_allow)
    addresses = sorted({str(entry[4][0]) for entry in found})
    refused = [address for address in addresses if not guard.permits(ip_address(address.partition("%")[0]))]
    if refused:
        what = f"{host} is {', '.join(refused)}: callbacks go to public addresses only"
        remedy = "if the network is yours, list it in callback_allow"
        return Probed(findings=(Finding(severity="error", what=what, remedy=remedy, path=PATH),))
    what = f"callbacks go to {host} ({', '.join(addresses)})"
    return Probed(findings=(Finding(severity="ok", what=what, path=PATH),))
