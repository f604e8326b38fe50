"""What no single key can know: rules between keys, and advice on what is allowed but hardly meant.

The rules look at the tree, not at the models, so that they speak even while other keys are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from gateway.settings.addresses import is_loopback
from gateway.settings.models import Admin, DiscordSettings, Public, Settings
from gateway.settings.problems import Report, nearest
from gateway.settings.tree import Node, below

_OPENTELEMETRY = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on


def check(root: Node, report: Report) -> None:
    """Note every broken rule."""
    bots = root.get("bots")
    each = list(bots.children.values()) if bots else []
    _listeners(root, report)
    _organizations(root, each, report)
    for platform in ("telegram", "discord"):
        _unique(each, f"{platform}.token", "is the same token as that of", report)
    _unique([bot for bot in each if bot.get("web")], "replica", "has a web channel already in", report)
    for bot in each:
        _public_address(root, bot, report)
        _callback(bot, report)
    _traces(root, report)


def _listeners(root: Node, report: Report) -> None:
    token = _text(root, "server.admin.token", "")
    host, port = (
        root.get("server.admin.host"),
        root.get("server.admin.port") or root.get("server.public.port"),
    )
    public = _text(root, "server.public.host", Public().host), _text(root, "server.public.port", "8080")
    admin = _text(root, "server.admin.host", Admin().host), _text(root, "server.admin.port", "9090")
    if host and not is_loopback(admin[0]) and not token:
        report.problem(host.at, host.path, "may be off loopback only with server.admin.token")
    overlap = public[0] == admin[0] or {public[0], admin[0]} & _EVERYWHERE
    if port and overlap and public[1] == admin[1] != "0":
        report.problem(port.at, port.path, "server.public and server.admin cannot share a port")


def _text(root: Node, path: str, default: str) -> str:
    """What is written at a path, or the default that the models have for it."""
    node = root.get(path)
    return (node.text if node else None) or default


def _organizations(root: Node, bots: list[Node], report: Report) -> None:
    organizations = root.get("organizations")
    names = list(organizations.children) if organizations else []
    if bots and not names:
        report.problem(root.at, "organizations", "is missing: every bot belongs to one")
        return
    for bot in bots:
        chosen = bot.get("organization")
        if chosen is None or chosen.value is None:
            if isinstance(bot.value, dict) and len(names) > 1:
                path = below(bot.path, "organization")
                report.problem(bot.key_at, path, "is missing (there are several organizations)")
        elif chosen.text and chosen.text not in names:
            message = "there is no such organization"
            report.problem(chosen.at, chosen.path, message, nearest(chosen.text, names))


def _unique(bots: list[Node], path: str, message: str, report: Report) -> None:
    first: dict[str, Node] = {}
    for bot in bots:
        node = bot.get(path)
        if node is None or not node.text:
            continue
        known = first.setdefault(node.text.lower() if path == "replica" else node.text, bot)
        if known is not bot:
            report.problem(node.at, below(bot.path, path), f"{message} {known.path}")


def _public_address(root: Node, bot: Node, report: Report) -> None:
    base, images, mode = root.get("server.public.base_url"), bot.get("images"), bot.get("telegram.mode")
    url = base.text if base else None
    if images and images.text == "signed_url" and not url:
        report.problem(images.at, images.path, "signed_url needs server.public.base_url")
    api = root.get("platforms.telegram.api_url")
    schemes = ("https://", "http://") if api and (api.text or "").startswith("http://") else ("https://",)
    if (
        mode and mode.text == "webhook" and not (url or "").startswith(schemes)
    ):  # a server of one's own takes http
        report.problem(mode.at, mode.path, "webhook needs an https server.public.base_url")


def _callback(bot: Node, report: Report) -> None:
    """Plain http goes only where the operator knows the network; the adapter's sockets see to it."""
    url, allow = bot.get("webhook.callback_url"), bot.get("webhook.callback_allow")
    if url and (url.text or "").lower().startswith("http:") and not (allow and allow.items):
        report.problem(url.at, url.path, "must be https, unless callback_allow names its network")


def _traces(root: Node, report: Report) -> None:
    node = root.get("telemetry.otlp_endpoint")
    if node and node.text and not all(_installed(name) for name in _OPENTELEMETRY):
        report.problem(node.at, node.path, "needs OpenTelemetry: pip install 'sensay-gateway[otel]'")


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # nor what it is in
        return False


def advice(settings: Settings) -> Iterator[str]:
    """Things that are allowed and that an operator should hear of."""
    if not settings.bots:
        yield "bots: there are none"
    for name, bot in settings.bots.items():
        if not (bot.telegram or bot.discord or bot.web or bot.webhook):
            yield f"bots.{name}: has no channel (telegram, discord, web or webhook)"
        if bot.access.dm == "allowed" and not (bot.access.allow.users or bot.access.allow.roles):
            yield f"bots.{name}.access.dm: allowed, but access.allow names nobody"
        pictures = (bot.telegram or bot.discord) and settings.sensay.dialect == "openapi"
        if bot.images == "signed_url" and not pictures:
            yield f"bots.{name}.images: pictures are shown on Telegram and Discord, with sensay.dialect openapi"
        if bot.discord and not bot.discord.message_content:
            yield from (f"bots.{name}.discord.{deaf}" for deaf in _deaf(bot.discord))


def _deaf(discord: DiscordSettings) -> Iterator[str]:
    """What Discord passes on without its words, unless the bot has the privileged intent."""
    if discord.groups.mode in ("listen", "open"):
        yield f"groups.mode: {discord.groups.mode} hears only mentions without message_content: true"
    if discord.threads == "auto":
        yield "threads: auto hears only mentions in its threads without message_content: true"
