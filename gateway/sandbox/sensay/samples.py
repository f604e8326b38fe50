"""The replicas that every organisation has from the start, so that a demonstration has something to say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OWNER = "sandbox-owner"
SUPPORT = "12345678-1234-1234-1234-123456789abc"
CAFE = "22345678-1234-1234-1234-123456789abc"
DEVELOPER = "32345678-1234-1234-1234-123456789abc"


@dataclass(frozen=True, slots=True)
class Sample:
    """A replica's texts; its knowledge is `knowledge/{slug}.md`."""

    uuid: str
    slug: str
    name: str
    description: str
    greeting: str
    suggestions: tuple[str, ...]
    color: str

    @property
    def knowledge(self) -> str:
        return (Path(__file__).parent / "knowledge" / f"{self.slug}.md").read_text(encoding="utf-8")


SAMPLES = (
    Sample(
        SUPPORT,
        "support",
        "Support",
        "I help with orders, returns and gear of Fernweh Outdoor.",
        "Hi, welcome to Fernweh Outdoor! Ask me about gear, orders or returns.",
        ("When are you open?", "How do I return something?", "Which tent do you recommend?"),
        "#2f6f4e",
    ),
    Sample(
        CAFE,
        "cafe",
        "Café Zeitlos",
        "I know the menu, the hours and the secrets of the cinnamon bun.",
        "Hello and welcome to Café Zeitlos! What may I tell you?",
        ("What is on the menu?", "Can I book a table?", "Do you have vegan cake?"),
        "#a4552b",
    ),
    Sample(
        DEVELOPER,
        "developer",
        "Paperplane Docs",
        "I answer questions about the Paperplane e-mail API.",
        "Hello! I know the Paperplane API. What are you building?",
        ("How do I send an e-mail?", "What are the rate limits?", "How are webhooks signed?"),
        "#3557b7",
    ),
)


def picture(sample: Sample) -> str:
    """A round initial, as SVG."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<circle cx="32" cy="32" r="32" fill="{sample.color}"/>'
        '<text x="32" y="43" font-family="sans-serif" font-size="32" fill="#fff" text-anchor="middle">'
        f"{sample.name[0]}</text></svg>"
    )
