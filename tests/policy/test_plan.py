from __future__ import annotations

from typing import Any

from gateway.messages import Channel
from gateway.settings.models import Settings
from gateway.settings.plan import plan

REPLICA, OTHER = "12345678-1234-1234-1234-123456789abc", "22345678-1234-1234-1234-123456789abc"
TELEGRAM = {"token": "123456:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}


def settings(**bots: dict[str, Any]) -> Settings:
    document = {
        "organizations": {"acme": {"secret": "abcdefgh"}},
        "bots": {name: {"organization": "acme", "replica": REPLICA, **bot} for name, bot in bots.items()},
    }
    return Settings.model_validate(document)


def channel(bot: str, platform: str = "telegram") -> Channel:
    return Channel(bot=bot, platform=platform)


def test_the_same_configuration_changes_nothing():
    found = plan(settings(a={"telegram": TELEGRAM}), settings(a={"telegram": TELEGRAM}))

    assert (channel("a"),) == found.unchanged
    assert () == found.added + found.changed + found.removed
    assert () == found.policies + found.restart


def test_channels_come_and_go_one_by_one():
    old = settings(a={"telegram": TELEGRAM}, b={"web": {}})
    new = settings(a={"telegram": TELEGRAM, "web": {}}, c={"web": {}, "replica": OTHER})
    found = plan(old, new)

    assert {channel("a", "web"), channel("c", "web")} == set(found.added)
    assert (channel("b", "web"),) == found.removed
    assert (channel("a"),) == found.unchanged


def test_a_new_token_or_replica_rebuilds_the_channel():
    old = settings(a={"telegram": TELEGRAM}, b={"telegram": {"token": "7:b"}})
    new = settings(a={"telegram": {"token": "8:a"}}, b={"telegram": {"token": "7:b"}, "replica": OTHER})

    assert {channel("a"), channel("b")} == set(plan(old, new).changed)


def test_texts_limits_and_weights_reconnect_nothing():
    new = settings(
        a={"telegram": TELEGRAM, "weight": 3, "texts": {"busy": "later"}, "limits": {"user": "off"}}
    )
    found = plan(settings(a={"telegram": TELEGRAM}), new)

    assert (channel("a"),) == found.unchanged
    assert ("a",) == found.policies


def test_a_disabled_bot_is_removed():
    found = plan(settings(a={"telegram": TELEGRAM}), settings(a={"telegram": TELEGRAM, "enabled": False}))

    assert (channel("a"),) == found.removed


def test_what_is_read_at_the_start_only_is_named():
    old = settings(a={"telegram": TELEGRAM})
    new = old.model_copy(update={"journal": "memory:"})

    assert ("journal",) == plan(old, new).restart
