"""Every operation once, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidArguments
from gateway.sensay.api import (
    account,
    analytics,
    chat,
    chats,
    conversations,
    history,
    integrations,
    knowledge,
    replicas,
    training,
    users,
)
from gateway.sensay.api.operation import Operation

FAMILIES: Mapping[str, tuple[Operation[Any, Any], ...]] = {
    "users": users.OPERATIONS,
    "replicas": replicas.OPERATIONS,
    "chat": chat.OPERATIONS,
    "history": history.OPERATIONS,
    "knowledge": knowledge.OPERATIONS,
    "training": training.OPERATIONS,
    "integrations": integrations.OPERATIONS,
    "conversations": conversations.OPERATIONS,
    "chats": chats.OPERATIONS,
    "analytics": analytics.OPERATIONS,
    "account": account.OPERATIONS,
}
OPERATIONS: Mapping[str, Operation[Any, Any]] = {
    operation.name: operation for family in FAMILIES.values() for operation in family
}


def named(name: str) -> Operation[Any, Any]:
    """Raises InvalidArguments for a name that is none."""
    if name not in OPERATIONS:
        raise InvalidArguments(f"there is no operation {name[:100]!r}; there are {', '.join(OPERATIONS)}")
    return OPERATIONS[name]
