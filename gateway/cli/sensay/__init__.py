"""`sensay …`: everything that an operator may ask of Sensay, a family a module, thin over the table of operations.

Through the running gateway and its quota, as the lowest class; without one, with the journal in hand. rich is loaded
only when something is drawn.
"""

from __future__ import annotations

import click

from gateway.cli.sensay.account import health, keys
from gateway.cli.sensay.analytics import analytics
from gateway.cli.sensay.chat import chat
from gateway.cli.sensay.chats import chats
from gateway.cli.sensay.conversations import conversations
from gateway.cli.sensay.history import history
from gateway.cli.sensay.integrations import integrations
from gateway.cli.sensay.knowledge import knowledge
from gateway.cli.sensay.replicas import replicas
from gateway.cli.sensay.training import training
from gateway.cli.sensay.users import users


@click.group()
def sensay() -> None:
    """Ask Sensay about users, replicas, conversations, knowledge and the rest.

    Requests go through the running gateway and count in its quota, as the lowest class: users never wait for them.
    Without a gateway they use its journal. REPLICA is a bot's name, a replica's UUID or its slug.
    """


for family in (
    users,
    replicas,
    chat,
    history,
    conversations,
    chats,
    knowledge,
    training,
    integrations,
    analytics,
    keys,
    health,
):
    sensay.add_command(family)

__all__ = ["sensay"]
