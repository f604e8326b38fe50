from __future__ import annotations

import pytest

from gateway.messages import User
from gateway.sensay.identity import platform_id, user_for


def linked(platform: str, bot: str = "support", sender: str = "42") -> User:
    return user_for(platform, bot, sender, identity="linked", dialect="openapi")


@pytest.mark.parametrize("platform", ["telegram", "discord"])
def test_a_person_of_a_platform_is_the_same_user_for_every_bot(platform: str):
    assert User(id="42", type=platform) == linked(platform)
    assert linked(platform, "support") == linked(platform, "sales")


@pytest.mark.parametrize("platform", ["web", "webhook"])
def test_a_visitor_belongs_to_one_bot_and_one_channel(platform: str):
    users = {linked(p, bot) for p in ("web", "webhook") for bot in ("support", "sales")}

    assert len(users) == 4
    assert linked(platform).type == "embed"
    assert linked(platform).id != "42"


def test_names_that_run_together_are_still_two_users():
    assert linked("web", "a", "bc") != linked("web", "ab", "c")


def test_a_visitor_stays_the_same_without_anything_kept():
    assert linked("web").id == "7b5972c5e96c0ff710b8995b35966f53"


@pytest.mark.parametrize(
    ("platform", "prefix"), [("telegram", "tg:"), ("discord", "dc:"), ("web", "web:"), ("webhook", "hook:")]
)
def test_native_ids_have_a_prefix_and_no_type(platform: str, prefix: str):
    user = user_for(platform, "support", "42", identity="native", dialect="openapi")

    assert user.type is None
    assert user.id.startswith(prefix)


def test_the_guide_knows_native_ids_only():
    assert User(id="tg:42") == user_for("telegram", "support", "42", identity="linked", dialect="guide")


@pytest.mark.parametrize("identity", ["linked", "native"])
def test_the_platforms_own_id_can_be_had_back(identity: str):
    user = user_for("telegram", "support", "42", identity=identity, dialect="openapi")

    assert platform_id(user) == "42"
