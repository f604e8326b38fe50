"""The whole of Sensay's API for operators: one table of operations, a family a module, the same in every dialect.

`Sensay(door, clock)` is the typed client; the door decides how a request gets to Sensay and who pays for it.
"""

from gateway.sensay.api.client import Sensay
from gateway.sensay.api.operation import ADMIN, Arguments, Auth, Door, Operation, as_linked, as_user
from gateway.sensay.api.table import FAMILIES, OPERATIONS

__all__ = [
    "ADMIN",
    "FAMILIES",
    "OPERATIONS",
    "Arguments",
    "Auth",
    "Door",
    "Operation",
    "Sensay",
    "as_linked",
    "as_user",
]
