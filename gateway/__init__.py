"""Sensay Gateway: many replicas' bots in one process."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sensay-gateway")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0.1.0"
