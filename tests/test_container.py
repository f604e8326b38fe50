"""The Dockerfile and the manifests, as far as they can be judged without building or running them."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.settings import load

ROOT = Path(__file__).parents[1]
K8S = ROOT / "k8s"
BASE = K8S / "base"
VALKEY = K8S / "overlays" / "valkey"
TOOLS = Path(sys.executable).parent
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i?)?")
YAMLLINT = "{extends: default, rules: {line-length: {max: 125}, document-start: disable}}"


def run(tool: str, *arguments: object, given: str | None = None) -> str:
    """Run a tool of the environment; what it complains about fails the test."""
    done = subprocess.run(
        [TOOLS / tool, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def documents(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(text))


@pytest.fixture(scope="module")
def rendered() -> str:
    return run("kubectl", "kustomize", K8S)


@pytest.fixture(scope="module")
def manifests(rendered: str) -> dict[str, dict[str, Any]]:
    """What is applied, by kind."""
    return {document["kind"]: document for document in documents(rendered)}


@pytest.fixture
def pod(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return manifests["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return only


@pytest.fixture
def secrets() -> dict[str, str]:
    (example,) = documents((BASE / "secret.example.yaml").read_text())
    return example["stringData"]


def instructions(name: str) -> list[str]:
    """Arguments of one kind of instruction, continuation lines joined, in order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(None, 1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


# --- the image ---


def test_hadolint_finds_nothing():
    run("hadolint", ROOT / "Dockerfile")


def test_what_the_image_is_made_of_exists_and_is_not_ignored():
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [
        source
        for copy in instructions("COPY")
        if not copy.startswith("--from")
        for source in copy.split()[:-1]
    ]

    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, line[1:]) for line in ignored), source


def test_a_change_of_the_source_keeps_the_layer_of_the_dependencies():
    text = (ROOT / "Dockerfile").read_text()

    assert text.index("requirements.lock\n") < text.index("COPY gateway")


def test_dependencies_are_installed_by_their_hashes():
    assert any("--require-hashes" in step and "requirements.lock" in step for step in instructions("RUN"))


def test_the_base_can_be_chosen():
    assert instructions("FROM") == ["${BASE} AS build", "${BASE}"]


def test_processes_get_their_signals_themselves():
    for name in ("ENTRYPOINT", "CMD"):
        (form,) = instructions(name)
        assert form.startswith("["), name


# --- the manifests ---


def test_manifests_are_valid_to_the_letter(rendered: str, tmp_path: Path):
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered)

    run("kubernetes-validate", "--strict", file, BASE / "secret.example.yaml")


def test_manifests_are_tidy_yaml():
    run("yamllint", "--strict", "-d", YAMLLINT, K8S)


def test_every_file_is_used_but_the_example():
    for folder in (file.parent for file in K8S.rglob("kustomization.yaml")):
        (kustomization,) = documents((folder / "kustomization.yaml").read_text())
        used = {*kustomization["resources"], *(patch["path"] for patch in kustomization.get("patches", []))}
        used |= {name for made in kustomization.get("configMapGenerator", []) for name in made["files"]}
        unused = {file.name for file in folder.iterdir() if file.is_file()} - used

        assert unused - {"secret.example.yaml"} == {"kustomization.yaml"}, folder


def test_the_base_is_one_pod_with_a_volume(manifests: dict[str, Any]):
    assert set(manifests) == {
        "Namespace",
        "ConfigMap",
        "Deployment",
        "PersistentVolumeClaim",
        "Service",
        "NetworkPolicy",
    }


def test_quantities_are_such(manifests: dict[str, Any], container: dict[str, Any], pod: dict[str, Any]):
    resources = container["resources"]
    claim = manifests["PersistentVolumeClaim"]["spec"]["resources"]["requests"]
    memory = [volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if "emptyDir" in volume]
    quantities = [*resources["requests"].values(), *resources["limits"].values(), *claim.values(), *memory]

    assert len(quantities) == 5
    assert [q for q in quantities if not QUANTITY.fullmatch(str(q))] == []


def test_the_clusters_configuration_is_good(secrets: dict[str, str]):
    loaded = load(BASE / "gateway.yaml", secrets)

    assert list(loaded.settings.bots) == ["support"]


def test_the_example_secret_has_just_the_variables_that_the_configuration_names(secrets: dict[str, str]):
    named = set(re.findall(r"\$\{(\w+)", (BASE / "gateway.yaml").read_text()))

    named |= set(re.findall(r"\$\{(\w+)", (VALKEY / "gateway.yaml").read_text()))

    assert named == set(secrets)


def test_the_pod_has_what_it_refers_to(manifests: dict[str, Any], pod: dict[str, Any]):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}

    assert set(volumes) == mounted
    assert volumes["config"]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    claimed = volumes["data"]["persistentVolumeClaim"]["claimName"]
    assert claimed == manifests["PersistentVolumeClaim"]["metadata"]["name"]
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service"]["spec"]["selector"].items() <= labels.items()


def test_the_journal_is_on_the_volume(container: dict[str, Any], secrets: dict[str, str]):
    journal = load(BASE / "gateway.yaml", secrets).settings.journal
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}

    assert journal.startswith(f"sqlite:///{mounts['data']}/")
    assert instructions("VOLUME") == [mounts["data"]]


def test_the_journal_never_has_two_owners(manifests: dict[str, Any]):
    spec = manifests["Deployment"]["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_pod_has_the_time_to_drain(pod: dict[str, Any], container: dict[str, Any], secrets: dict[str, str]):
    grace = load(BASE / "gateway.yaml", secrets).settings.shutdown_grace
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod["terminationGracePeriodSeconds"] >= before + grace + 10


def test_probes_ask_the_admin_port_by_number(container: dict[str, Any], secrets: dict[str, str]):
    admin = load(BASE / "gateway.yaml", secrets).settings.server.admin
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert admin.host == "0.0.0.0"
    assert probes == {
        "startup": {"path": "/livez", "port": admin.port},
        "liveness": {"path": "/livez", "port": admin.port},
        "readiness": {"path": "/readyz", "port": admin.port},
    }


def test_the_service_offers_the_public_port_only(manifests: dict[str, Any], secrets: dict[str, str]):
    public = load(BASE / "gateway.yaml", secrets).settings.server.public

    assert [port["targetPort"] for port in manifests["Service"]["spec"]["ports"]] == [public.port]


def test_the_pod_may_do_nothing_that_it_need_not(pod: dict[str, Any], container: dict[str, Any]):
    (image_user,) = instructions("USER")

    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == image_user
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_image_and_manifests_carry_the_projects_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (kustomization,) = documents((BASE / "kustomization.yaml").read_text())

    assert f"VERSION={version}" in instructions("ARG")
    assert kustomization["images"] == [{"name": "sensay-gateway", "newTag": version}]
