# ruff: noqa: E501 - what an operator reads is one line, and the tests show it whole

from __future__ import annotations

import json
import re
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from gateway.settings import Invalid, Loaded, Rate, Settings, effective, load, schema, schema_text
from gateway.settings.shape import secrets, section
from gateway.settings.values import duration, written

CONFIG = Path(__file__).parents[2] / "config"
REPLICA = "12345678-1234-1234-1234-123456789abc"
OTHER = "87654321-1234-1234-1234-123456789abc"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENVIRON = {
    "ACME_SENSAY_SECRET": "acme-secret",
    "SUPPORT_TELEGRAM_TOKEN": "1:telegram",
    "SUPPORT_DISCORD_TOKEN": "discord-token",
    "SUPPORT_WEBHOOK_SECRET": WHSEC,
    "SUPPORT_WIDGET_SECRET": "widget-secret",
    "GATEWAY_ADMIN_TOKEN": "admin-token",
}


def read(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON, **files: str) -> Loaded:
    """Load a configuration; other files beside it are given by name, `__` for the slash and `_` for the dot."""
    for name, content in files.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(content))
    (folder / "gateway.yaml").write_text(dedent(text))
    return load(folder / "gateway.yaml", environ)


def wrong(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON, **files: str) -> list[str]:
    """What is wrong with a configuration, as an operator reads it."""
    with pytest.raises(Invalid) as caught:
        read(folder, text, environ, **files)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def bot(loaded: Loaded, name: str = "a") -> Any:
    return loaded.settings.bots[name]


ONE = f"""\
organizations: {{acme: {{secret: s}}}}
bots:
  a:
    replica: {REPLICA}
"""

# --- what works -----------------------------------------------------------------------------------------------


def test_the_smallest_bot_has_all_defaults(tmp_path: Path) -> None:
    loaded = read(tmp_path, ONE + "    telegram: {token: '1:x'}\n")

    assert bot(loaded).organization == "acme"
    assert bot(loaded).telegram.token.get_secret_value() == "1:x"
    assert bot(loaded).limits.user == Rate(count=10, seconds=10.0)
    assert bot(loaded).max_wait == 300.0
    assert loaded.settings.retention.text == 86_400.0
    assert loaded.warnings == ()
    assert loaded.files == (tmp_path / "gateway.yaml",)


def test_a_telegram_server_of_ones_own_may_call_a_webhook_without_tls(tmp_path: Path) -> None:
    local = "server: {public: {base_url: 'http://localhost:8080'}}\n"
    own = "platforms: {telegram: {api_url: 'http://127.0.0.1:8081'}}\n"
    loaded = read(tmp_path, f"{ONE}    telegram: {{token: '1:x', mode: webhook}}\n{local}{own}")

    assert bot(loaded).telegram.mode == "webhook"


def test_numbers_as_names_and_ids_are_read_as_they_are_written(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        f"""
        organizations: {{007: {{secret: 0123}}}}
        bots:
          42:
            organization: 007
            replica: {REPLICA}
            access: {{admins: [7, '8'], allow: {{channels: [-1001]}}}}
            telegram: {{token: 1e3}}
            web: {{title: 2024}}
        sensay: {{api_version: 2025-03-25}}
        """,
    )

    assert bot(loaded, "42").organization == "007"
    assert loaded.settings.organizations["007"].secret.get_secret_value() == "0123"
    assert bot(loaded, "42").access.admins == ("7", "8")
    assert bot(loaded, "42").access.allow.channels == ("-1001",)
    assert bot(loaded, "42").telegram.token.get_secret_value() == "1e3"
    assert bot(loaded, "42").web.title == "2024"
    assert loaded.settings.sensay.api_version == "2025-03-25"


@pytest.mark.parametrize("off", ["off", "'off'", '"off"', "false"])
def test_every_spelling_of_off_is_the_same(tmp_path: Path, off: str) -> None:
    loaded = read(
        tmp_path,
        f"""{ONE}
    access: {{dm: {off}}}
    coalesce: {off}
    limits: {{user: {off}}}
    images: {off}
    telegram: {{token: t, groups: {{mode: {off}}}, stream: {off}}}
    web: {{limits: {{messages_per_day: {off}}}, proof_of_work: {off}}}
""",
    )

    assert bot(loaded).access.dm == "off"
    assert bot(loaded).coalesce is None
    assert bot(loaded).limits.user is None
    assert bot(loaded).images == "off"
    assert bot(loaded).telegram.groups.mode == "off"
    assert bot(loaded).telegram.stream == "off"
    assert bot(loaded).web.limits.messages_per_day is None
    assert bot(loaded).web.proof_of_work == "off"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("1m30s", 90), ("1h", 3600), ("7d", 604_800), ("0", 0), ("2.5", 2.5)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@given(milliseconds=st.integers(0, 10**9))
def test_a_duration_that_is_shown_reads_as_the_same(milliseconds: int) -> None:
    assert duration(written(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, rel=1e-5)


def test_a_key_without_a_value_has_its_default(tmp_path: Path) -> None:
    loaded = read(tmp_path, ONE + "    queue:\n    telegram:\nlog:\nserver: {public: {base_url: ~}}\n")

    assert bot(loaded).queue.per_bot == 1000
    assert bot(loaded).telegram is None
    assert loaded.settings.log.format == "json"


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        f"""
        organizations: {{acme: {{secret: s}}}}
        bots:
          a: &a
            replica: {REPLICA}
            queue: {{per_bot: 7}}
          b:
            <<: *a
            replica: {OTHER}
        """,
    )

    assert bot(loaded, "b").queue.per_bot == 7
    assert bot(loaded, "b").replica == OTHER


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_bytes(b"\xef\xbb\xbf" + ONE.encode())

    assert "a" in load(tmp_path / "gateway.yaml", {}).settings.bots


def test_origins_are_kept_as_browsers_send_them(tmp_path: Path) -> None:
    origins = "[https://Shop.Example.com:443/, 'http://localhost:3000', 'https://bücher.example']"
    loaded = read(tmp_path, f"{ONE}    web: {{allowed_origins: {origins}}}\n")

    assert bot(loaded).web.allowed_origins == (
        "https://shop.example.com",
        "http://localhost:3000",
        "https://xn--bcher-kva.example",
    )


def test_log_format_and_level_of_the_environment_win(tmp_path: Path) -> None:
    loaded = read(
        tmp_path, "log: {format: json, message_text: true}\n", {"LOG_FORMAT": "text", "LOG_LEVEL": "DEBUG"}
    )

    assert (loaded.settings.log.format, loaded.settings.log.level) == ("text", "debug")
    assert loaded.settings.log.message_text


def test_a_wrong_log_level_of_the_environment_is_a_problem(tmp_path: Path) -> None:
    assert wrong(tmp_path, ONE, {"LOG_LEVEL": "warn"}) == [
        "environment variable LOG_LEVEL: log.level: must be debug, info, warning or error (did you mean warning?)"
    ]


# --- variables and secret files -------------------------------------------------------------------------------


def test_variables_are_filled_in_after_parsing_and_once(tmp_path: Path) -> None:
    environ = {"PORT": "8123", "EVIL": "${PORT}: [", "EMPTY": ""}
    loaded = read(
        tmp_path,
        ONE
        + """\
    web:
      title: "$$${PORT} ${EVIL} ${NONE:-none} ${EMPTY:-empty}${EMPTY} $5"
      color: ${EMPTY}
      suggestions: ["${NONE:-}a"]
server: {public: {port: "${PORT}"}}
""",
        environ,
    )

    assert bot(loaded).web.title == "$8123 ${PORT}: [ none empty $5"
    assert bot(loaded).web.color is None
    assert bot(loaded).web.suggestions == ("a",)
    assert loaded.settings.server.public.port == 8123


def test_variables_that_cannot_be_filled_in_are_problems_where_they_stand(tmp_path: Path) -> None:
    text = """\
        organizations:
          acme:
            secret: ${ACME_SECRET}
        server:
          admin:
            token: ${TOKEN:?run make-token first}
          public: {base_url: "${URL", host: "${A:-${B}}"}
        """

    assert wrong(tmp_path, text, {"ACME_SECRETS": "x", "TOKEN": ""}) == [
        "gateway.yaml:3:13: organizations.acme.secret: environment variable ACME_SECRET is not set (did you mean ACME_SECRETS?)",
        "gateway.yaml:6:12: server.admin.token: TOKEN: run make-token first",
        "gateway.yaml:7:22: server.public.base_url: has a ${…} that is not ${VAR}, ${VAR:-default} or ${VAR:?message}",
        "gateway.yaml:7:37: server.public.host: has a ${…} that is not ${VAR}, ${VAR:-default} or ${VAR:?message}",
    ]


def test_a_required_value_that_comes_out_empty_is_missed(tmp_path: Path) -> None:
    text = ONE + "    telegram:\n      token: ${TOKEN}\n"

    assert wrong(tmp_path, text, {"TOKEN": ""}) == ["gateway.yaml:6:7: bots.a.telegram.token: has no value"]


def test_secrets_come_from_files_without_their_trailing_white_space(tmp_path: Path) -> None:
    (tmp_path / "old").write_text(f"{WHSEC}\n")
    (tmp_path / "new").write_text(f"{WHSEC[:-4]}AAAA \r\n\n")
    loaded = read(
        tmp_path,
        f"""
        organizations: {{acme: {{secret_file: "{tmp_path}/old"}}}}
        bots:
          a:
            replica: {REPLICA}
            telegram: {{token_file: "${{DIR}}/old"}}
            web: {{identity_secret_file: "{tmp_path}/old"}}
            webhook: {{secret_file: ["{tmp_path}/new", "{tmp_path}/old"]}}
        """,
        {"DIR": str(tmp_path)},
    )

    assert loaded.settings.organizations["acme"].secret.get_secret_value() == WHSEC
    assert bot(loaded).telegram.token.get_secret_value() == WHSEC
    assert bot(loaded).web.identity_secret.get_secret_value() == WHSEC
    assert [key.get_secret_value()[-4:] for key in bot(loaded).webhook.secret] == ["AAAA", "LaSw"]


def test_a_secret_file_is_found_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "token").write_text("1:x")
    monkeypatch.chdir(tmp_path / "here")

    assert (
        bot(read(tmp_path, ONE + "    telegram: {token_file: token}\n")).telegram.token.get_secret_value()
        == "1:x"
    )


def test_a_secret_file_that_is_no_use_is_a_problem_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    text = f"""{ONE}
    telegram: {{token_file: "{tmp_path}/none"}}
    discord: {{token_file: "{tmp_path}/empty"}}
    webhook: {{secret_file: "{tmp_path}/binary"}}
    web: {{identity_secret: a, identity_secret_file: b, token_file: c}}
server: {{admin: {{token_file: "{tmp_path}"}}}}
"""

    assert wrong(tmp_path, text) == [
        "gateway.yaml:6:28: bots.a.telegram.token_file: the file cannot be read (No such file or directory)",
        "gateway.yaml:7:27: bots.a.discord.token_file: the file is empty",
        "gateway.yaml:8:28: bots.a.webhook.secret_file: the file cannot be read (it is not text)",
        "gateway.yaml:9:31: bots.a.web.identity_secret_file: stands beside identity_secret; one of them has to go",
        "gateway.yaml:9:56: bots.a.web.token_file: unknown key",
        "gateway.yaml:10:30: server.admin.token_file: the file cannot be read (Is a directory)",
    ]


def test_every_secret_of_the_models_may_come_from_a_file() -> None:
    def walk(model: Any) -> set[str]:
        inner = [found for field in model.model_fields.values() if (found := section(field.annotation))]
        return {f"{model.__name__}.{key}" for key in secrets(model)}.union(*map(walk, inner))

    assert walk(Settings) == {
        "Admin.token",
        "DiscordSettings.token",
        "Organization.secret",
        "TelegramSettings.token",
        "WebSettings.identity_secret",
        "WebhookSettings.secret",
    }


# --- include and defaults -------------------------------------------------------------------------------------


def test_bots_are_included_from_files_beside_the_one_that_names_them(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        ONE + "include: ['bots.d/*.yaml', 'bots.d/b.yaml', 'more.d/*.yaml']\n",
        bots_d__b_yaml=f"bots: {{b: {{replica: {OTHER}, queue: {{per_bot: '${{N}}'}}}}}}",
        bots_d__c_yaml=f"bots: {{c: {{replica: {OTHER}}}}}",
        environ={"N": "5"},
    )

    assert set(loaded.settings.bots) == {"a", "b", "c"}
    assert bot(loaded, "b").queue.per_bot == 5
    assert [file.name for file in loaded.files] == ["gateway.yaml", "b.yaml", "c.yaml"]
    assert f"{tmp_path}/gateway.yaml:5:45: include[2]: matches no file" in loaded.warnings


def test_what_is_wrong_in_an_included_file_is_said_of_that_file(tmp_path: Path) -> None:
    problems = wrong(
        tmp_path,
        ONE + "include: [b.yaml, c.yaml, none.yaml]\n",
        b_yaml=f"""\
            bots:
              a: {{replica: {REPLICA}}}
              b:
                replica: x
                wheight: 2
            log: {{}}
            """,
        c_yaml="",
    )

    assert problems == [
        "gateway.yaml:5:27: include[2]: there is no such file",
        "b.yaml:2:3: bots.a: is there twice (first in gateway.yaml:3:3)",
        "b.yaml:4:14: bots.b.replica: is not a UUID (8-4-4-4-12 hexadecimal digits)",
        "b.yaml:5:5: bots.b.wheight: unknown key (did you mean weight?)",
        "b.yaml:6:1: log: may not stand here: an included file has only bots",
        "c.yaml:1:1: is empty",
    ]


def test_defaults_are_merged_deep_and_lists_are_replaced(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        f"""
        organizations: {{acme: {{secret: s}}, other: {{secret: t}}}}
        defaults:
          organization: other
          queue: {{per_bot: 5, per_conversation: 6}}
          access: {{admins: [1, 2], dm: allowed, allow: {{users: [1]}}}}
          telegram: {{groups: {{mode: off}}, unknown_send: retry_once}}
          texts: {{busy: {{en: One, de: Eins}}}}
          max_wait: 1m
        bots:
          a:
            replica: {REPLICA}
            queue: {{per_bot: 7}}
            access: {{admins: [3]}}
            telegram: {{token: t, groups: {{}}, unknown_send: drop}}
            texts: {{busy: {{de: Zwei}}}}
            max_wait:
          b: {{replica: {OTHER}, organization: acme, texts: {{busy: Three}}}}
        """,
    )

    assert bot(loaded).organization == "other"
    assert (bot(loaded).queue.per_bot, bot(loaded).queue.per_conversation) == (7, 6)
    assert (bot(loaded).access.admins, bot(loaded).access.dm) == (("3",), "allowed")
    assert (bot(loaded).telegram.groups.mode, bot(loaded).telegram.unknown_send) == ("off", "drop")
    assert bot(loaded).texts.busy == {"en": "One", "de": "Zwei"}
    assert bot(loaded).max_wait == 300.0
    assert bot(loaded, "b").organization == "acme"
    assert bot(loaded, "b").telegram is None
    assert bot(loaded, "b").texts.busy == "Three"


def test_a_problem_in_defaults_is_said_once_and_of_defaults(tmp_path: Path) -> None:
    text = f"""\
        defaults:
          quota: {{}}
          weight: heavy
          discord: {{thread: auto, threads: atuo}}
          organization: acne
        organizations: {{acme: {{secret: s}}}}
        bots:
          a: {{replica: {REPLICA}, telegram: {{token: x}}}}
          b: {{replica: {OTHER}}}
        """

    assert wrong(tmp_path, text) == [
        "gateway.yaml:2:3: defaults.quota: unknown key",
        "gateway.yaml:3:11: defaults.weight: must be a number",
        "gateway.yaml:4:13: defaults.discord.thread: unknown key (did you mean threads?)",
        "gateway.yaml:4:36: defaults.discord.threads: must be off or auto (did you mean auto?)",
        "gateway.yaml:5:17: defaults.organization: there is no such organization (did you mean acme?)",
    ]


def test_defaults_alone_may_be_wrong(tmp_path: Path) -> None:
    assert wrong(tmp_path, ONE + "defaults: 5\n") == [
        "gateway.yaml:5:11: defaults: must be a mapping (key: value)"
    ]


# --- broken configurations ------------------------------------------------------------------------------------

TWO = f"""\
organizations: {{acme: {{secret: s}}}}
bots:
  a: {{replica: {REPLICA}, telegram: {{token: same}}, discord: {{token: same}}, web: {{}}}}
  b: {{replica: {REPLICA.upper()}, telegram: {{token: same}}, discord: {{token: same}}, web: {{}}}}
"""
BROKEN = {
    "an empty file": ("", ["1:1: is empty"]),
    "a file of comments": ("# later\n", ["1:1: is empty"]),
    "a list": ("- a\n", ["1:1: is not a mapping (key: value)"]),
    "a half-written file": (
        "bots:\n  a: {replica: x,\n",
        ["3:1: is not YAML: while parsing a flow node, expected the node content, but found '<stream end>'"],
    ),
    "an open quote": (
        "journal: 'memory:\nlog: {}\n",
        [
            "3:1: is not YAML: while scanning a quoted scalar, found unexpected end of stream (it begins in line 1)"
        ],
    ),
    "a tab": (
        "log:\n\tlevel: info\n",
        [
            "2:1: is not YAML: while scanning for the next token, found character '\\t' that cannot start any token"
        ],
    ),
    "a control character": (
        "a: \x07\n",
        ["1:1: is not YAML: a character that may not stand in it, or nested too deep"],
    ),
    "a variable without quotes in a flow mapping": (
        "log: {level: ${LEVEL}}\n",
        [
            (
                "1:15: is not YAML: while parsing a flow mapping, expected ',' or '}', but got '{'"
                ' (between { and } write "${…}" in quotes)'
            )
        ],
    ),
    "an unknown alias": ("log: *nothing\n", ["1:6: is not YAML: found undefined alias"]),
    "an alias inside itself": ("log: &log {level: *log}\n", ["1:6: log.level: contains itself"]),
    "a tag": (
        "log: {level: !env LEVEL}\n",
        ["1:14: log.level: has a YAML tag (!…), which means nothing here"],
    ),
    "a key that is a list": ("log: {[a]: 1}\n", ["1:7: log: has a key that is not a word"]),
    "a key that stands twice": (
        "log: {level: info}\nwatch: false\nlog: {level: debug}\n",
        ["3:1: log: stands here twice (first in line 1)"],
    ),
    "unknown keys at every depth": (
        ONE
        + "    telegram: {token: x, group: {}}\n    colesce: 5s\nserver: {public: {prot: 1}}\nincludes: []\nzzz: 1\n",
        [
            "5:26: bots.a.telegram.group: unknown key (did you mean groups?)",
            "6:5: bots.a.colesce: unknown key (did you mean coalesce?)",
            "7:19: server.public.prot: unknown key (did you mean port?)",
            "8:1: includes: unknown key (did you mean include?)",
            "9:1: zzz: unknown key",
        ],
    ),
    "wrong kinds of value": (
        ONE
        + """\
    weight: 0
    queue: {per_bot: many, per_conversation: 0}
    enabled: perhaps
    max_wait: soon
    limits: {user: 10 per second}
    access: {admins: 5, allow: {users: [[]]}}
    reply: 3
    texts: {busy: [a], denied: ' ', help: {english: x}}
    web: {allowed_origins: https://a.example, position: botom-right, color: 'url(x)'}
server: {public: {port: 70000}}
version: 2
""",
        [
            "5:13: bots.a.weight: must be above 0",
            "6:22: bots.a.queue.per_bot: must be a whole number",
            "6:46: bots.a.queue.per_conversation: must be at least 1",
            "7:14: bots.a.enabled: must be true or false",
            "8:15: bots.a.max_wait: is not a duration (write 250ms, 30s, 5m, 1h or 7d)",
            "9:20: bots.a.limits.user: is not a rate (write 10/10s, or off)",
            "10:22: bots.a.access.admins: must be a list",
            "10:41: bots.a.access.allow.users[0]: must be a text",
            "11:12: bots.a.reply: must be a mapping (key: value)",
            "12:19: bots.a.texts.busy: must be a text, or texts by language ({en: …, de: …})",
            "12:32: bots.a.texts.denied: is blank (leave it out for the built-in text)",
            "12:43: bots.a.texts.help: has a key that is not a language (en, de, pt-BR, …)",
            "13:28: bots.a.web.allowed_origins: must be a list",
            "13:57: bots.a.web.position: must be bottom-right, bottom-left, top-right, top-left or inline (did you mean bottom-right?)",
            '13:77: bots.a.web.color: is not a colour (write "#0a84ff" in quotes, or a CSS colour name)',
            "14:25: server.public.port: must be at most 65535",
            "15:10: version: must be 1",
        ],
    ),
    "missing keys": (
        "organizations: {acme: {}}\nbots:\n  a:\n  b:\n    telegram: {mode: polling}\n    webhook: {secret: []}\n",
        [
            "1:17: organizations.acme.secret: is missing",
            "3:3: bots.a.replica: is missing",
            "4:3: bots.b.replica: is missing",
            "5:5: bots.b.telegram.token: is missing",
            "6:23: bots.b.webhook.secret: is too short (at least 1)",
        ],
    ),
    "names that cannot be": (
        f"""\
organizations: {{-acme: {{secret: s}}}}
bots:
  v1: {{replica: {REPLICA}}}
  widget: {{replica: {REPLICA}}}
  chat: {{replica: {REPLICA}}}
  {OTHER}: {{replica: {REPLICA}}}
  my bot: {{replica: {REPLICA}}}
  {65 * "x"}: {{replica: {REPLICA}}}
  {64 * "x"}: {{replica: {REPLICA}}}
""",
        [
            "1:17: organizations.-acme: is not a name (1 to 64 of A-Z a-z 0-9 _ -, the first one a letter or digit)",
            "3:3: bots.v1: is a reserved name (so are v1, widget and chat)",
            "4:3: bots.widget: is a reserved name (so are v1, widget and chat)",
            "5:3: bots.chat: is a reserved name (so are v1, widget and chat)",
            f"6:3: bots.{OTHER}: looks like a replica's id; a bot needs a name of its own",
            "7:3: bots.my bot: is not a name (1 to 64 of A-Z a-z 0-9 _ -, the first one a letter or digit)",
            f"8:3: bots.{65 * 'x'}: is not a name (1 to 64 of A-Z a-z 0-9 _ -, the first one a letter or digit)",
        ],
    ),
    "no organization": (
        f"bots: {{a: {{replica: {REPLICA}}}}}\n",
        ["1:1: organizations: is missing: every bot belongs to one"],
    ),
    "an organization that is not said or not there": (
        f"""\
organizations: {{acme: {{secret: s}}, other: {{secret: s}}}}
bots:
  a: {{replica: {REPLICA}}}
  b: {{replica: {REPLICA}, organization: oter}}
""",
        [
            "3:3: bots.a.organization: is missing (there are several organizations)",
            "4:68: bots.b.organization: there is no such organization (did you mean other?)",
        ],
    ),
    "tokens and widgets that two bots share": (
        TWO,
        [
            "4:16: bots.b.replica: has a web channel already in bots.a",
            "4:72: bots.b.telegram.token: is the same token as that of bots.a",
            "4:96: bots.b.discord.token: is the same token as that of bots.a",
        ],
    ),
    "listeners": (
        """\
server:
  public: {base_url: http://gateway.example}
  admin: {host: 0.0.0.0, port: 8080}
  trusted_proxies: [10.0.0.1/8, proxy, 10.0.0.0/8, '::1']
""",
        [
            "2:22: server.public.base_url: must be the https address that users reach (http only on this machine)",
            "3:17: server.admin.host: may be off loopback only with server.admin.token",
            "3:32: server.admin.port: server.public and server.admin cannot share a port",
            "4:21: server.trusted_proxies[0]: is not a network (write 10.0.0.0/8, or one address)",
            "4:33: server.trusted_proxies[1]: is not a network (write 10.0.0.0/8, or one address)",
        ],
    ),
    "what needs a public address": (
        ONE + "    images: signed_url\n    telegram: {token: t, mode: webhook}\n",
        [
            "5:13: bots.a.images: signed_url needs server.public.base_url",
            "6:32: bots.a.telegram.mode: webhook needs an https server.public.base_url",
        ],
    ),
    "a webhook mode that Telegram cannot reach": (
        ONE
        + "    telegram: {token: t, mode: webhook}\nserver: {public: {base_url: 'http://localhost:8080'}}\n",
        ["5:32: bots.a.telegram.mode: webhook needs an https server.public.base_url"],
    ),
    "a callback without TLS": (
        ONE + f"    webhook: {{secret: {WHSEC}, callback_url: 'http://a.example', callback_allow: []}}\n",
        ["5:77: bots.a.webhook.callback_url: must be https, unless callback_allow names its network"],
    ),
    "origins": (
        ONE
        + """\
    web:
      allowed_origins:
        - https://a.example/shop
        - '*'
        - https://*.example
        - shop.example
        - 'null'
        - https://user@a.example
        - https://a.example:99999
        - https://a..example
""",
        [
            "7:11: bots.a.web.allowed_origins[0]: is not an origin: only https://host[:port], without a path",
            "8:11: bots.a.web.allowed_origins[1]: is not an origin: each site is listed by itself, as https://host[:port]",
            "9:11: bots.a.web.allowed_origins[2]: is not an origin: each site is listed by itself, as https://host[:port]",
            "10:11: bots.a.web.allowed_origins[3]: is not an http or https address (write https://host[:port])",
            "11:11: bots.a.web.allowed_origins[4]: is not an origin: each site is listed by itself, as https://host[:port]",
            "12:11: bots.a.web.allowed_origins[5]: may not contain a user or password",
            "13:11: bots.a.web.allowed_origins[6]: is not an address (write https://host[:port])",
            "14:11: bots.a.web.allowed_origins[7]: is not an origin: its host is not a valid name",
        ],
    ),
    "signing secrets": (
        ONE
        + f"""\
    webhook:
      secret:
        - plain
        - whsec_c2hvcnQ=
        - {WHSEC}
        - whsec_???
""",
        [
            f"{place}: is not a signing secret (whsec_ followed by base64 of 24 to 64 random bytes)"
            for place in (
                "7:11: bots.a.webhook.secret[0]",
                "8:11: bots.a.webhook.secret[1]",
                "10:11: bots.a.webhook.secret[3]",
            )
        ],
    ),
    "tokens that no header can carry": (
        ONE
        + """\
    telegram: {token: '1: x'}
    discord: {token: gehëim}
    web: {identity_secret: ''}
server: {admin: {token: "a\\nb"}}
""",
        [
            "5:23: bots.a.telegram.token: must be visible ASCII without spaces: a header has to carry it",
            "6:22: bots.a.discord.token: must be visible ASCII without spaces: a header has to carry it",
            "7:28: bots.a.web.identity_secret: is too short (at least 1)",
            "8:25: server.admin.token: must be visible ASCII without spaces: a header has to carry it",
        ],
    ),
    "a journal with two slashes": (
        "journal: sqlite://data/gateway.db\n",
        ["1:10: journal: needs three slashes (relative: sqlite:///data/x.db) or four (absolute)"],
    ),
    "a journal of another kind": (
        "journal: postgres://u:p@host/db\n",
        ["1:10: journal: is not a journal (sqlite:///data/gateway.db, memory: or valkey://host:6379/0)"],
    ),
    "a zero lease": ("cluster: {lease: 0s}\n", ["1:18: cluster.lease: must be above 0"]),
    "an include that is no list": (ONE + "include: x.yaml\n", ["5:10: include: must be a list of files"]),
    "bots that are a list": ("bots: [a]\n", ["1:7: bots: must be a mapping (key: value)"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_explained_at_its_place(tmp_path: Path, name: str) -> None:
    text, expected = BROKEN[name]

    assert wrong(tmp_path, text) == [f"gateway.yaml:{line}" for line in expected]


@pytest.mark.parametrize(
    "url",
    ["valkey://host", "redis://:pass@host:6379/0", "rediss://host/1", "valkey+sentinel://a:1,b:2/primary/0"],
)
def test_a_journal_on_a_server_is_named_by_its_address(tmp_path: Path, url: str) -> None:
    (tmp_path / "gateway.yaml").write_text(f"version: 1\njournal: {url}\n")

    assert url == load(tmp_path / "gateway.yaml", {}).settings.journal


@pytest.mark.parametrize(
    "url", ["valkey://host/zero", "valkey+sentinel://a:1,b:2/primary", "valkey+sentinel://a"]
)
def test_half_an_address_of_a_journal_is_a_problem(tmp_path: Path, url: str) -> None:
    [problem] = wrong(tmp_path, f"journal: {url}\n")

    assert problem.startswith("gateway.yaml:1:10: journal: is not a journal (")


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as missing:
        load(tmp_path / "none.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"bots:\n  caf\xe9: {}\n")
    with pytest.raises(Invalid) as latin:
        load(tmp_path / "latin.yaml", {})

    assert str(missing.value) == f"{tmp_path}/none.yaml:1:1: cannot be read (No such file or directory)"
    assert str(latin.value) == f"{tmp_path}/latin.yaml:2:1: is not UTF-8 text"


# --- secrets stay secret --------------------------------------------------------------------------------------

MARK = "S3CR3T"
SECRET = st.builds(
    lambda before, after: f"{before}{MARK}{after}",
    st.text("*&!@%`|>?:-#,[]{}'\"\\ =.~a1é\t", max_size=4),
    st.text("*&!@%:#,[]{}'\"\\ =a1é", max_size=6),
)
EVERYWHERE = """\
organizations: {acme: {secret: %s, unknown: 1}}
server: {admin: {host: 0.0.0.0, token: %s}}
journal: valkey://user:%s@host/0
bots:
  a:
    replica: x
    telegram: {token: %s}
    discord: {token: %s}
    web: {identity_secret: %s, allowed_origins: [nope]}
    webhook: {secret: [%s, %s]}
  b: {replica: y, telegram: {token: %s}, max_wait: %s, limits: {user: %s}, texts: 5}
"""


def everything_said(error: BaseException) -> str:
    return f"{error!s}{error!r}{''.join(traceback.format_exception(error))}"


@given(secret=SECRET, quoted=st.booleans())
@example(secret=f"*{MARK}", quoted=False)
@example(secret=f"!{MARK} x", quoted=False)
@example(secret=f"&{MARK} &{MARK}", quoted=False)
@example(secret=f"{{ {MARK} }}", quoted=False)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_error_shows_a_secret(tmp_path: Path, secret: str, quoted: bool) -> None:
    text = json.dumps(secret) if quoted else secret
    (tmp_path / "gateway.yaml").write_text(EVERYWHERE.replace("%s", text))

    with pytest.raises(Invalid) as caught, warnings.catch_warnings(action="error"):
        load(tmp_path / "gateway.yaml", {})

    assert MARK not in everything_said(caught.value)


@given(secret=SECRET.filter(re.compile("[!-~]+").fullmatch))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_error_shows_a_secret_of_the_environment_or_a_file(tmp_path: Path, secret: str) -> None:
    (tmp_path / "secret").write_text(secret)
    (tmp_path / "gateway.yaml").write_text(
        EVERYWHERE.replace("%s", '"${SECRET}"')
        + f"  c: {{telegram: {{token_file: {tmp_path}/secret}}, wat: 1}}\n"
    )

    with pytest.raises(Invalid) as caught:
        load(tmp_path / "gateway.yaml", {"SECRET": secret})

    assert "bots.a.telegram" not in str(caught.value)
    assert MARK not in everything_said(caught.value)


def test_neither_the_effective_configuration_nor_a_repr_shows_a_secret(tmp_path: Path) -> None:
    loaded = read(tmp_path, uncommented(), ENVIRON)
    shown = json.dumps(effective(loaded.settings)) + repr(loaded) + str(loaded.settings)

    assert [value for value in ENVIRON.values() if value in shown] == []


def test_a_password_in_an_address_is_not_shown() -> None:
    settings = Settings(journal="valkey://me:hunter2@host:6379/0")

    assert effective(settings)["journal"] == "valkey://me:**********@host:6379/0"
    assert "hunter2" not in repr(settings)


# --- the example, the schema, and what is not there yet -------------------------------------------------------


def uncommented() -> str:
    """The example with every key switched on."""
    lines = (CONFIG / "gateway.yaml").read_text().partition("\nversion:")
    switched = [re.sub(r"^(\s*)# (\s*[a-z_]+:)", r"\1\2", line) for line in lines[2].splitlines()]
    return "version:" + "\n".join(switched)


def test_the_example_loads_without_a_warning() -> None:
    loaded = load(CONFIG / "gateway.yaml", ENVIRON)

    support = loaded.settings.bots["support"]
    assert loaded.warnings == ()
    assert support.telegram
    assert support.discord
    assert support.web
    assert support.webhook


def test_the_example_has_every_key_with_its_default(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        uncommented().replace("telegram: {groups: {mode: off}}", "").replace("{per_conversation: 10}", ""),
    )
    shown = YAML(typ="safe", pure=True).load(uncommented())

    def keys(value: Any, model: type[BaseModel], path: str) -> list[str]:
        lacking: list[str] = []
        for key, field in model.model_fields.items():
            inner, here = section(field.annotation), value.get(key, MARK)
            if here == MARK:
                lacking.append(f"{path}.{key}")
            elif inner is not None and here is not None:
                named = str(field.annotation).startswith("dict")
                for entry in here.values() if named else [here]:
                    lacking += keys(entry, inner, f"{path}.{key}")
        return lacking

    assert keys(shown, Settings, "") == []
    different = Settings().model_dump(exclude={"organizations", "bots"})
    different["server"]["admin"]["token"] = loaded.settings.server.admin.token
    assert loaded.settings.model_dump(exclude={"organizations", "bots"}) == different
    plain = load(CONFIG / "gateway.yaml", ENVIRON).settings.bots["support"].model_dump(exclude={"texts"})
    plain["web"] |= {
        key: getattr(loaded.settings.bots["support"].web, key)
        for key in ("title", "suggestions", "color", "identity_secret")
    }
    assert loaded.settings.bots["support"].model_dump(exclude={"texts"}) == plain


def test_the_effective_configuration_is_one_that_loads_to_the_same(tmp_path: Path) -> None:
    first = effective(read(tmp_path, uncommented()).settings)
    again = read(tmp_path, json.dumps(first).replace('"**********"]', f'"{WHSEC}"]'))

    assert effective(again.settings) == first


def test_the_schema_file_is_fresh() -> None:
    assert (CONFIG / "schema.json").read_text() == schema_text()


@pytest.mark.parametrize(
    "text", [(CONFIG / "gateway.yaml").read_text(), uncommented()], ids=["short", "whole"]
)
def test_the_schema_accepts_the_example(text: str) -> None:
    Draft202012Validator.check_schema(schema())
    document = YAML(typ="safe", pure=True).load(text)

    assert [error.message for error in Draft202012Validator(schema()).iter_errors(document)] == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("server: {public: {port: '${PORT}'}}", True),
        ("server: {public: {port: high}}", False),
        ("server: {admin: {token_file: t}}", True),
        ("organizations: {a: {secret_file: s}}", True),
        ("organizations: {a: {}}", False),
        ("bots: {a: {access: {admins: [5, '5'], dm: false}, limits: {user: off}}}", True),
        ("bots: {a: {wait: 5}}", False),
        ("bots: {a: {webhook: {secret: x}}, b: {webhook: {secret: [x]}}}", True),
        ("defaults: {telegram: {stream: on}}", True),
        ("defaults: {telegram: {steam: on}}", False),
        ("include: [x.yaml]", True),
        ("bots: {a: {max_wait: soon}}", False),
        ("bots: {a: {max_wait: 5m, coalesce: off, queued_after: '${A}'}}", True),
    ],
)
def test_the_schema_judges_as_the_loader_does(text: str, good: bool) -> None:
    document = YAML(typ="safe", pure=True).load(text)

    assert Draft202012Validator(schema()).is_valid(document) is good


ALL_ON = f"""\
server: {{public: {{base_url: https://a.example}}, trusted_proxies: [10.0.0.0/8]}}
watch: true
telemetry: {{otlp_endpoint: 'https://otlp.example'}}
organizations: {{acme: {{secret: s}}}}
bots:
  b:
    replica: {REPLICA}
    weight: 2
    reserve_per_hour: 1
    coalesce: 2s
    images: signed_url
    telegram: {{token: t, mode: webhook, groups: {{mode: listen}}, stream: on}}
    discord: {{token: t, message_content: true, groups: {{mode: listen}}, stream: on, threads: auto, shards: 2}}
    web: {{consent: true, stream: on, proof_of_work: auto, identity_secret: s}}
    webhook: {{secret: {WHSEC}, callback_url: 'https://a.example/hook?x=1'}}
"""


def test_a_callback_inside_a_network_that_is_named_needs_no_tls(tmp_path: Path) -> None:
    hook = f"{{secret: {WHSEC}, callback_url: 'http://10.1.2.3/x', callback_allow: [10.0.0.0/8]}}"

    assert read(tmp_path, ONE + f"    webhook: {hook}\n").settings.bots["a"].webhook


def test_everything_that_can_be_on_can_be_on_together(tmp_path: Path) -> None:
    assert () == read(tmp_path, ALL_ON).warnings


def test_traces_without_their_packages_are_a_problem_with_its_place_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gateway.settings.checks._OPENTELEMETRY", ("opentelemetry_that_nobody_has.sdk.trace",)
    )
    [problem] = wrong(tmp_path, ALL_ON)

    assert problem.startswith("gateway.yaml:3:28: telemetry.otlp_endpoint: needs OpenTelemetry")
    assert "pip install 'sensay-gateway[otel]'" in problem


def test_what_is_allowed_but_hardly_meant_is_warned_of(tmp_path: Path) -> None:
    assert read(tmp_path, ONE + "    access: {dm: allowed}\n").warnings == (
        "bots.a: has no channel (telegram, discord, web or webhook)",
        "bots.a.access.dm: allowed, but access.allow names nobody",
    )
    assert read(tmp_path, "version: 1\n").warnings == ("bots: there are none",)


@pytest.mark.parametrize("mode", ["listen", "open"])
def test_a_discord_bot_that_is_to_hear_everything_and_may_not_is_warned_of(tmp_path: Path, mode: str) -> None:
    text = ONE + f"    discord: {{token: t, threads: auto, groups: {{mode: {mode}}}%s}}\n"

    assert read(tmp_path, text % "").warnings == (
        f"bots.a.discord.groups.mode: {mode} hears only mentions without message_content: true",
        "bots.a.discord.threads: auto hears only mentions in its threads without message_content: true",
    )
    assert read(tmp_path, text % ", message_content: true").warnings == ()
    assert read(tmp_path, ONE + "    discord: {token: t}\n").warnings == ()


def test_pictures_where_sensay_does_not_look_at_them_are_warned_of(tmp_path: Path) -> None:
    text = ONE + "    images: signed_url\n    telegram: {token: t}\n"
    text += "server: {public: {base_url: https://a.example}}\n"

    assert read(tmp_path, text).warnings == ()
    assert read(tmp_path, text + "sensay: {dialect: guide}\n").warnings == (
        "bots.a.images: pictures are shown on Telegram and Discord, with sensay.dialect openapi",
    )
