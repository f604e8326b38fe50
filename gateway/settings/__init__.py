"""The configuration: `load` reads it, `Settings` is its shape."""

from gateway.settings.load import Loaded, load
from gateway.settings.models import Rate, Settings
from gateway.settings.problems import Invalid, Problem
from gateway.settings.schema import schema, schema_text
from gateway.settings.show import effective

__all__ = ["Invalid", "Loaded", "Problem", "Rate", "Settings", "effective", "load", "schema", "schema_text"]
