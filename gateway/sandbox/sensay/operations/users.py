"""Users, and what they have used."""

from __future__ import annotations

from collections import Counter

from aiohttp import web
from msgspec import UNSET

from gateway.sandbox.sensay import bodies
from gateway.sandbox.sensay.calls import Call, answer, given, stated
from gateway.sandbox.sensay.replies import Account, ConversationUsage, KnowledgeUsage, Usage, UserShown
from gateway.sandbox.sensay.state import User
from gateway.sandbox.sensay.talk import day
from gateway.sandbox.sensay.wire import Refusal


async def create(call: Call) -> web.StreamResponse:
    body: bodies.NewUser = call.body
    accounts = _accounts(body.linked_accounts) if body.linked_accounts is not UNSET else {}
    id_, email, name = given(body.id), given(body.email), given(body.name)
    if call.organization.taken(id_, email, accounts):
        raise Refusal(409, "User, email, or linked account already exists")
    return answer(shown(call.organization.add_user(id_, email, name, accounts)))


async def get(call: Call) -> web.StreamResponse:
    user = call.organization.user(call.request.match_info["user"], None)
    if user is None:
        raise Refusal(404, "User not found")
    return answer(shown(user))


async def get_me(call: Call) -> web.StreamResponse:
    return answer(shown(call.me))


async def update_me(call: Call) -> web.StreamResponse:
    body: bodies.ChangedUser = call.body
    me = call.me
    email, name = given(body.email) or me.email, given(body.name) or me.name
    accounts = me.accounts if body.linked_accounts is UNSET else _accounts(body.linked_accounts)
    if call.organization.taken(body.id, email, accounts, but=me):
        raise Refusal(409, "Linked account or email already exists or is invalid")
    call.organization.change_user(me, body.id, email, name, accounts)
    return answer(shown(me))


async def delete_me(call: Call) -> web.StreamResponse:
    call.organization.remove_user(call.me)
    return web.Response(status=204)


async def usage(call: Call) -> web.StreamResponse:
    """Of all replicas that the user owns, this calendar month."""
    own = {one.uuid: one for one in call.organization.replicas.values() if one.owner is call.me}
    month = day(call.now)[:7]
    begun = Counter[str]()
    for (replica, _, on), count in call.organization.talk.begun.items():
        if replica in own and on.startswith(month):
            begun[replica] += count
    entries = {uuid: len(replica.knowledge) for uuid, replica in own.items() if replica.knowledge}
    return answer(
        Usage(
            conversations=ConversationUsage(
                current_month_total=begun.total(), current_month_by_replica=dict(begun)
            ),
            knowledge_base_entries=KnowledgeUsage(total=sum(entries.values()), by_replica=entries),
        )
    )


def shown(user: User) -> UserShown:
    linked = [Account(account_id=id_, account_type=type_) for type_, id_ in user.accounts.items()]
    return UserShown(id=user.id, linked_accounts=linked, email=stated(user.email), name=stated(user.name))


def _accounts(linked: list[bodies.LinkedAccount]) -> dict[bodies.AccountType, str]:
    """One of each type: the last one counts."""
    return {account.account_type: account.account_id for account in linked}
