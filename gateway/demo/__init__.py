"""`sensay-gateway demo`: sandbox, gateway and a page to talk from, in one process, with no keys and no network."""

from gateway.demo.serve import serve_demo

__all__ = ["serve_demo"]
