#!/usr/bin/env python3
"""Ask a replica through the signed webhook, and receive its answers. Python 3.9 or newer, nothing else.

    export WEBHOOK_URL=https://bots.example.com/v1/hooks/support/messages
    export WEBHOOK_SECRET=whsec_...
    python client.py ask "When are you open?"    # prints the answer
    python client.py listen 8900                 # prints every callback that comes, one JSON object a line

Keys, ids and statuses: docs/webhook.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urljoin

WAIT = int(os.environ.get("WEBHOOK_WAIT", "25"))
"""Seconds that the gateway holds the request for its answer; at most 55."""
PATIENCE = 300
"""Seconds after which we give up asking how it stands."""
TOLERANCE = 300
"""Seconds that a callback's timestamp may be off."""


# --- signatures ---


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign the bytes that are sent: serialise once, sign that, send that."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def verify(secret: str, headers: Message, body: bytes, now: float) -> bool:
    """Whether the gateway sent these bytes, not long ago. Verify first, parse afterwards."""
    message_id = headers.get("webhook-id", "")
    stamp = headers.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and abs(now - int(stamp)) <= TOLERANCE):
        return False
    expected = sign(secret, message_id, int(stamp), body).encode()
    given = headers.get("webhook-signature", "").encode("utf-8", "replace").split(b" ")
    return any(hmac.compare_digest(expected, signature) for signature in given)


# --- asking ---


def call(url: str, secret: str, message_id: str, body: bytes | None) -> tuple[int, dict]:
    """One signed request; looking at a status is signed over an empty body."""
    timestamp = int(time.time())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body or b""),
    }
    if body is not None:
        headers.update({"Content-Type": "application/json", "Prefer": f"wait={WAIT}"})
    request = urllib.request.Request(url, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=WAIT + 15) as response:
        return response.status, json.load(response)


def surely(url: str, secret: str, message_id: str, body: bytes | None) -> tuple[int, dict]:
    """The same request until it gets through. Its id stays, so the question is asked only once."""
    for pause in (1, 2, 4, 8, None):
        try:
            return call(url, secret, message_id, body)
        except urllib.error.HTTPError as error:
            if pause is None or error.code not in (429, 502, 503, 504):
                raise
            asked = error.headers.get("Retry-After", "")
            time.sleep(max(pause, int(asked)) if asked.isdigit() else pause)
        except OSError:
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError


def ask(url: str, secret: str, user: str, text: str) -> dict:
    """A question and its final answer: `status` says whether it was answered, `text` is for the user either way."""
    message_id = f"msg_{uuid.uuid4().hex}"
    body = json.dumps({"user": {"id": user}, "text": text}).encode()
    status, answer = surely(url, secret, message_id, body)
    until = time.time() + PATIENCE
    while status == 202 and time.time() < until:
        time.sleep(1)
        status, answer = surely(urljoin(url, answer["status_url"]), secret, f"look_{uuid.uuid4().hex}", None)
    return answer


# --- callbacks ---


class Receiver(BaseHTTPRequestHandler):
    """Takes callbacks. Answer with a 2xx within 15 seconds, and do the work afterwards."""

    secret = ""
    seen: set[str] = set()
    """In real life: a table with a unique key, written together with what the callback changes."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not verify(self.secret, self.headers, body, time.time()):
            self.respond(401)
            return
        message_id = self.headers["webhook-id"]
        if message_id not in self.seen:  # a callback may come again, under the same id
            self.seen.add(message_id)
            print(body.decode(), flush=True)
        self.respond(204)

    def respond(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing: standard output is for callbacks."""


def listen(secret: str, port: int) -> None:
    """Receive until interrupted. TLS is the business of a proxy in front."""
    Receiver.secret = secret
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print(f"listening on port {server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()


def main(arguments: list[str]) -> int:
    secret = os.environ["WEBHOOK_SECRET"]
    if arguments[:1] == ["listen"]:
        listen(secret, int(arguments[1]) if len(arguments) > 1 else 8900)
    elif arguments[:1] == ["ask"] and len(arguments) > 1:
        answer = ask(os.environ["WEBHOOK_URL"], secret, os.environ.get("WEBHOOK_USER", "7"), arguments[1])
        print(answer["text"])
        return 0 if answer["status"] == "answered" else 1
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
