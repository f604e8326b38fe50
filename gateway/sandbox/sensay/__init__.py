"""A pretended Sensay API: users, replicas, knowledge, completions and histories, in both documented path families."""

from gateway.sandbox.sensay.samples import CAFE, DEVELOPER, SUPPORT
from gateway.sandbox.sensay.server import SensaySandbox
from gateway.sandbox.sensay.wire import Canned, Received

__all__ = ["CAFE", "DEVELOPER", "SUPPORT", "Canned", "Received", "SensaySandbox"]
