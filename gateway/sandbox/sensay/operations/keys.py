"""What needs no key: getting one, and asking whether the service is well."""

from __future__ import annotations

import uuid
from collections import OrderedDict

from aiohttp import web

from gateway.sandbox.sensay.calls import Call, answer
from gateway.sandbox.sensay.replies import Health, KeyRedeemed, ServiceHealth
from gateway.sandbox.sensay.state import iso
from gateway.sandbox.sensay.wire import Refusal

VALID_FOR = 30 * 86_400.0
_MOST_CODES = 10_000


class Invites:
    """Any code is an invitation, once; but not one that starts with `invalid`."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, None] = OrderedDict()

    async def redeem(self, call: Call) -> web.StreamResponse:
        code = call.request.match_info["code"]
        if code in self._used or code.startswith("invalid"):
            raise Refusal(404, "The invitation is unknown or has been redeemed")
        self._used[code] = None
        if len(self._used) > _MOST_CODES:
            self._used.popitem(last=False)
        reply = KeyRedeemed(
            api_key=f"sandbox-{uuid.uuid4().hex}",
            organization_id=str(uuid.uuid4()),
            valid_until=iso(call.now + VALID_FOR),
        )
        return answer(reply)

    def clear(self) -> None:
        self._used.clear()


async def health(call: Call) -> web.StreamResponse:
    well = ServiceHealth(status=200, message="OK")
    names = ("supabase", "qdrant", "rabbitmq", "vercel_kv")
    return answer(Health(time=int(call.now * 1000), services=dict.fromkeys(names, well)))
