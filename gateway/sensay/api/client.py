"""The typed client: the families behind one door."""

from __future__ import annotations

from gateway.ports import Clock
from gateway.sensay.api.account import Account
from gateway.sensay.api.analytics import Analytics
from gateway.sensay.api.chat import Chat
from gateway.sensay.api.chats import Chats
from gateway.sensay.api.conversations import Conversations
from gateway.sensay.api.files import Upload, put
from gateway.sensay.api.history import Histories
from gateway.sensay.api.integrations import Integrations
from gateway.sensay.api.knowledge import Knowledge
from gateway.sensay.api.operation import Door
from gateway.sensay.api.replicas import Replicas
from gateway.sensay.api.training import Training
from gateway.sensay.api.users import Users


class Sensay:
    """Every method is one request or says otherwise, and raises what its door raises."""

    def __init__(self, door: Door, clock: Clock, upload: Upload = put) -> None:
        self.users = Users(door)
        self.replicas = Replicas(door)
        self.chat = Chat(door)
        self.history = Histories(door)
        self.knowledge = Knowledge(door, upload, clock)
        self.training = Training(door, upload)
        self.integrations = Integrations(door)
        self.conversations = Conversations(door)
        self.chats = Chats(door)
        self.analytics = Analytics(door)
        self.account = Account(door)
