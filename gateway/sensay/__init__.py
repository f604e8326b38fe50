"""Asks Sensay: the only place that knows its API."""
