"""The overlay for several pods and its components, as far as they can be judged without a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.settings import load
from gateway.settings.models import Settings

ROOT = Path(__file__).parents[1]
K8S = ROOT / "k8s"
TOOLS = Path(sys.executable).parent
NAME = {"app.kubernetes.io/name": "sensay-gateway"}


def documents(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def one(path: str) -> dict[str, Any]:
    (document,) = documents((K8S / path).read_text())
    return document


def run(tool: str, *arguments: object) -> str:
    done = subprocess.run(
        [TOOLS / tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The overlay with all of its components, rendered."""
    folder = K8S / "overlays" / "valkey"
    kustomization = (folder / "kustomization.yaml").read_text().replace("  # - ../", "  - ../")
    copy = tmp_path_factory.mktemp("k8s")
    subprocess.run(["cp", "-r", f"{K8S}/.", str(copy)], check=True, timeout=60)
    (copy / "overlays" / "valkey" / "kustomization.yaml").write_text(kustomization)
    return run("kubectl", "kustomize", copy / "overlays" / "valkey")


@pytest.fixture(scope="module")
def objects(everything: str) -> dict[str, dict[str, Any]]:
    """By kind and name."""
    return {f"{part['kind']}/{part['metadata']['name']}": part for part in documents(everything)}


@pytest.fixture
def gateway(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return objects["Deployment/sensay-gateway"]["spec"]


@pytest.fixture
def valkey(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return objects["StatefulSet/valkey"]["spec"]


@pytest.fixture
def settings() -> Settings:
    secrets = one("base/secret.example.yaml")["stringData"]
    return load(K8S / "overlays" / "valkey" / "gateway.yaml", secrets).settings


def test_manifests_are_valid_to_the_letter(everything: str, tmp_path: Path):
    file = tmp_path / "rendered.yaml"
    file.write_text(everything)

    run("kubernetes-validate", "--strict", file)


def test_what_was_rendered_is_all_that_was_written(objects: dict[str, Any]):
    kinds = sorted(name.split("-", maxsplit=1)[0] if "ConfigMap" in name else name for name in objects)

    assert kinds == [
        "ConfigMap/sensay",
        "ConfigMap/valkey",
        "Deployment/sensay-gateway",
        "HorizontalPodAutoscaler/sensay-gateway",
        "Ingress/sensay-gateway",
        "Namespace/sensay-gateway",
        "NetworkPolicy/sensay-gateway",
        "NetworkPolicy/valkey",
        "PodDisruptionBudget/sensay-gateway",
        "PodDisruptionBudget/valkey",
        "PrometheusRule/sensay-gateway",
        "Service/sensay-gateway",
        "Service/sensay-gateway-admin",
        "Service/valkey",
        "ServiceMonitor/sensay-gateway",
        "StatefulSet/valkey",
    ]


def test_a_new_pod_is_ready_before_an_old_one_goes(gateway: dict[str, Any]):
    assert gateway["replicas"] == 2
    assert gateway["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


def test_no_pod_keeps_anything(objects: dict[str, Any], gateway: dict[str, Any]):
    pod = gateway["template"]["spec"]

    assert [name for name in objects if "PersistentVolumeClaim" in name] == []
    assert {volume["name"] for volume in pod["volumes"]} == {"config", "tmp"}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {"config", "tmp"}


def test_selectors_find_the_pods_of_the_gateway_and_no_others(
    objects: dict[str, Any], gateway: dict[str, Any], valkey: dict[str, Any]
):
    chosen = [
        objects["PodDisruptionBudget/sensay-gateway"]["spec"]["selector"]["matchLabels"],
        objects["Service/sensay-gateway-admin"]["spec"]["selector"],
        objects["Service/sensay-gateway"]["spec"]["selector"],
        objects["NetworkPolicy/sensay-gateway"]["spec"]["podSelector"]["matchLabels"],
        *(
            rule["labelSelector"]["matchLabels"]
            for rule in gateway["template"]["spec"]["topologySpreadConstraints"]
        ),
    ]

    assert [NAME] * 6 == chosen
    assert NAME.items() <= gateway["template"]["metadata"]["labels"].items()
    assert not NAME.items() <= valkey["template"]["metadata"]["labels"].items()


def test_the_autoscaler_goes_by_a_metric_that_there_is(objects: dict[str, Any]):
    scaler = objects["HorizontalPodAutoscaler/sensay-gateway"]["spec"]
    (metric,) = scaler["metrics"]

    assert scaler["scaleTargetRef"]["name"] == "sensay-gateway"
    written = "".join(file.read_text() for file in (ROOT / "gateway").glob("telemetry*/**/*.py"))
    assert f'"{metric["external"]["metric"]["name"]}"' in written


def test_the_journal_is_where_the_sentinels_are(settings: Settings, valkey: dict[str, Any]):
    name = valkey["serviceName"]
    sentinels = ",".join(f"valkey-{index}.{name}:26379" for index in range(valkey["replicas"]))

    assert settings.journal.startswith("valkey+sentinel://")
    assert settings.journal.endswith(f"@{sentinels}/primary/0")


def test_the_pods_of_valkey_know_each_other(valkey: dict[str, Any]):
    for container in valkey["template"]["spec"]["containers"]:
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}

        assert environment["PEERS"] == "valkey-0.valkey valkey-1.valkey valkey-2.valkey"
        assert environment["ME"] == f"$(POD).{valkey['serviceName']}"


def test_the_volume_of_valkey_may_forget_nothing():
    server = (K8S / "components" / "valkey" / "server.sh").read_text()

    for line in (
        "appendonly yes",
        "appendfsync always",
        "maxmemory-policy noeviction",
        "min-replicas-to-write 1",
    ):
        assert f"\n{line}\n" in server


def test_a_stream_is_neither_buffered_nor_cut_by_the_ingress(objects: dict[str, Any]):
    notes = objects["Ingress/sensay-gateway"]["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/"

    assert notes[f"{prefix}proxy-buffering"] == "off"
    assert int(notes[f"{prefix}proxy-read-timeout"]) > 600  # a stream's age


def test_prometheus_gets_the_rules_that_are_tested(objects: dict[str, Any]):
    (alerts,) = documents((ROOT / "docs" / "observability" / "alerts.yaml").read_text())

    assert objects["PrometheusRule/sensay-gateway"]["spec"] == alerts


def test_prometheus_finds_the_admin_port_and_has_the_token(objects: dict[str, Any], settings: Settings):
    monitor = objects["ServiceMonitor/sensay-gateway"]["spec"]
    service = objects["Service/sensay-gateway-admin"]
    (endpoint,) = monitor["endpoints"]
    (port,) = service["spec"]["ports"]

    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (endpoint["port"], port["targetPort"]) == (port["name"], settings.server.admin.port)
    assert endpoint["authorization"]["credentials"]["key"] in one("base/secret.example.yaml")["stringData"]
