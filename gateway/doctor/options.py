"""Options that are off, or set in a way that an operator should know of. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.ports import Finding
from gateway.settings.addresses import is_loopback
from gateway.settings.models import Bot, Settings


def judge(settings: Settings) -> Iterator[Finding]:
    """Absolute paths."""
    yield from _gateway(settings)
    yield from _proxies(settings)
    for name, bot in settings.bots.items():
        yield from _bot(f"bots.{name}", bot)


def _gateway(settings: Settings) -> Iterator[Finding]:
    if settings.journal == "memory:":
        yield _warning("journal", "memory: nothing that was taken in survives a restart", "name a file")
    if settings.server.admin.token is None:
        yield _off("server.admin.token", "everybody on this machine may act on the fleet")
    if settings.log.message_text:
        yield _warning(
            "log.message_text", "what people write stands in the log", "set it to false unless you need it"
        )
    if not settings.watch:
        yield _off("watch", "a changed file is in force after SIGHUP or `reload`")
    if settings.telemetry.otlp_endpoint is None:
        yield _off("telemetry.otlp_endpoint", "no traces are sent; metrics and logs are there")


def _proxies(settings: Settings) -> Iterator[Finding]:
    public = settings.server.public
    web = any(bot.web for bot in settings.bots.values() if bot.enabled)
    behind = (public.base_url or "").startswith("https://") and not settings.server.trusted_proxies
    if web and behind:
        yield _warning(
            "server.trusted_proxies",
            "is empty, and TLS ends before this gateway: all visitors count as one address in the limits",
            "list the network of the proxy that ends TLS",
        )
    if web and public.base_url is None and not is_loopback(public.host):
        yield _warning(
            "server.public.base_url",
            "is not set: links and pictures have no address",
            "set it to the https address",
        )


def _bot(path: str, bot: Bot) -> Iterator[Finding]:
    if not bot.enabled:
        yield _warning(
            f"{path}.enabled", "false: this bot does not run", "set it to true, or take the bot out"
        )
        return
    if (bot.telegram or bot.discord) and bot.images == "off":
        yield _off(f"{path}.images", "pictures that people send are not shown to the replica")
    if bot.web and not bot.web.allowed_origins:
        yield _warning(
            f"{path}.web.allowed_origins",
            "is empty: no website may embed the widget, only the hosted page works",
            "list the websites, as https://host",
        )
    if not bot.limits.user:
        yield _warning(f"{path}.limits.user", "off: one person may use up the queue", "set a rate, as 10/10s")


def _off(path: str, what: str) -> Finding:
    return Finding(severity="ok", what=f"off: {what}", path=path)


def _warning(path: str, what: str, remedy: str) -> Finding:
    return Finding(severity="warning", what=what, remedy=remedy, path=path)
