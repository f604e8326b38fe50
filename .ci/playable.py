"""Prints the rendered base as `podman kube play` takes it: the same pod, the image given, its volume in memory.

Podman plays no Service, NetworkPolicy or Secret and has no claim to bind: those are left out or replaced, nothing else.
"""

import io
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent

yaml = YAML(typ="safe", pure=True)
rendered = subprocess.run(  # noqa: S603 - our own tool on our own folder
    [TOOLS / "kubectl", "kustomize", ROOT / "k8s"], check=True, capture_output=True, text=True
)
parts = {document["kind"]: document for document in yaml.load_all(rendered.stdout)}
secret = yaml.load((ROOT / "k8s/base/secret.example.yaml").read_text())["stringData"]
pod = parts["Deployment"]["spec"]["template"]["spec"]
(container,) = pod["containers"]
container["image"] = sys.argv[1]
container["env"] = [{"name": name, "value": value} for name, value in secret.items()]
del container["envFrom"]
for volume in pod["volumes"]:
    if "persistentVolumeClaim" in volume:
        volume.pop("persistentVolumeClaim")
        volume["emptyDir"] = {"medium": "Memory"}
out = io.StringIO()
yaml.dump_all([parts["ConfigMap"], parts["Deployment"]], out)
print(out.getvalue())
