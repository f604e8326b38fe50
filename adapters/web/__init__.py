"""The web: a chat widget for any page, its HTTP API and a hosted full-page chat."""

from __future__ import annotations

from adapters.web.adapter import WebPlatform
from gateway.settings.models import Settings


def platform(settings: Settings) -> WebPlatform:
    """Make the platform that all web channels share."""
    return WebPlatform(
        trusted_proxies=settings.server.trusted_proxies,
        base_url=settings.server.public.base_url,
        upstream=settings.sensay.base_url,
    )
