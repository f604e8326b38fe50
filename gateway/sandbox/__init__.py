"""The pretended world: a Sensay API, a Telegram Bot API and a Discord, good enough for the real client libraries."""
