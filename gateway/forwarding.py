"""An operator's request on its way to the process that has the organisation's budget, and back."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from gateway import errors
from gateway.errors import GatewayError, Transient
from gateway.messages import Facts
from gateway.sensay.api.operation import Arguments, Auth, Operation, given
from gateway.sensay.models import Wire
from gateway.sensay.requests import Answered

A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Wire)
LARGEST = 256 * 1024
"""Bytes: what processes tell each other goes through the journal's server, to whoever listens."""
_PLAIN = ("status", "request_id", "api_version", "date", "seconds", "asked")


def asked(organization: str, operation: Operation[A, R], arguments: A, auth: Auth) -> Facts:
    """Raises Transient for what is too large to be passed on."""
    body = msgspec.to_builtins(given(arguments))
    if len(msgspec.json.encode(body)) > LARGEST:
        raise Transient("another process asks for this organisation: ask that one for anything so large")
    who = {"id": auth.id, "type": auth.type}
    return {"organization": organization, "operation": operation.name, "arguments": body, "auth": who}


def said(answered: Answered[Any]) -> Facts:
    plain = {name: getattr(answered, name) for name in _PLAIN}
    return {"value": msgspec.to_builtins(answered.value), **plain}


def failed(error: Exception) -> Facts:
    given_ = {"retry_after": getattr(error, "retry_after", None), "window": getattr(error, "window", None)}
    given_ |= {"remedy": getattr(error, "remedy", None), **getattr(error, "context", {})}
    known = {name: value for name, value in given_.items() if value is not None}
    return {"error": type(error).__name__, "message": str(error), "given": msgspec.to_builtins(known)}


def answered(operation: Operation[A, R], fact: Facts) -> Answered[R]:
    """Raises as the other process did."""
    if "error" in fact:
        raise _error(fact)
    plain = {name: fact[name] for name in _PLAIN}
    return Answered(value=msgspec.convert(fact["value"], operation.reply), **plain)


def _error(fact: Facts) -> Exception:
    if fact["error"] == "KeyError":
        return KeyError(fact["message"])
    kind = getattr(errors, fact["error"], Transient)
    error: GatewayError = kind(fact["message"], **fact["given"])
    return error
