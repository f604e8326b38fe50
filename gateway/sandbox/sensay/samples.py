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
    group: str
    """Where its people meet."""
    questions: tuple[str, ...]
    """What they ask."""

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
        "Fernweh on tour",
        (
            "When are you open?",
            "How do I return something?",
            "Which tent do you recommend?",
            "How much is shipping to Switzerland?",
            "Where is my parcel?",
            "Do you repair a broken zip?",
            "How do I wash my rain jacket?",
            "Can I rent snowshoes?",
            "Do students get a discount?",
            "Which backpack for a day trip?",
            "Do you sell kayaks?",
        ),
    ),
    Sample(
        CAFE,
        "cafe",
        "Café Zeitlos",
        "I know the menu, the hours and the secrets of the cinnamon bun.",
        "Hello and welcome to Café Zeitlos! What may I tell you?",
        ("What is on the menu?", "Can I book a table?", "Do you have vegan cake?"),
        "#a4552b",
        "Neighbours of Zeitlos",
        (
            "When are you open?",
            "What is on the menu?",
            "Can I book a table?",
            "Do you have vegan cake?",
            "Are dogs allowed?",
            "Where are you?",
            "Which coffee do you have?",
            "Is there live music?",
            "May I work with my laptop?",
        ),
    ),
    Sample(
        DEVELOPER,
        "developer",
        "Paperplane Docs",
        "I answer questions about the Paperplane e-mail API.",
        "Hello! I know the Paperplane API. What are you building?",
        ("How do I send an e-mail?", "What are the rate limits?", "How are webhooks signed?"),
        "#3557b7",
        "Paperplane builders",
        (
            "How do I send an e-mail?",
            "What are the rate limits?",
            "How are webhooks signed?",
            "How do I authenticate?",
            "Is there a Python library?",
            "What does error 422 mean?",
            "What does it cost?",
            "Where is my data stored?",
            "Do you support fax?",
        ),
    ),
)

VISITORS = (
    "Ada",
    "Bela",
    "Chloe",
    "Deniz",
    "Emil",
    "Farah",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kira",
    "Liam",
)
CHATTER = (
    "Good evening everyone!",
    "Who is coming on Saturday?",
    "I am in.",
    "Same here, if the weather holds.",
    "The forecast says sun until noon.",
    "Then let us meet early.",
    "Nine at the station?",
    "Make it half past nine, please.",
    "Fine with me.",
    "I will bring a friend, is that all right?",
    "Of course, the more the better.",
    "Did anybody see the photos from last time?",
    "They are lovely, thank you!",
    "I still laugh about the one with the cow.",
    "Somebody left a blue scarf, by the way.",
    "That is mine, I will pick it up.",
    "Has anyone an answer to my question from yesterday?",
    "Just ask it again, the bot knows more than we do.",
    "Ha, true.",
    "See you all on Saturday then.",
)
"""What people say among themselves."""
