"""The files of docker/kubernetes against the schemas of Kubernetes and of KubeRay, without either."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.conftest import SHARED_DATA

FOLDER = Path(__file__).parents[1] / "docker" / "kubernetes"
KUBERAY = SHARED_DATA / "kuberay"
VERSION = "1.34"
"""Of Kubernetes."""
WHOLE = ("cluster", "job", "cluster-gpu", "job-gpu")
"""Folders that are given to `kubectl apply -k`."""

needs_kuberay = pytest.mark.skipif(not KUBERAY.is_dir(), reason=f"KubeRay's schemas are not in {KUBERAY}")


def has_kubectl() -> bool:
    """Whether there is one that knows components of kustomizations; Debian 12 has 1.20, which does not."""
    if shutil.which("kubectl") is None:
        return False
    command = ["kubectl", "version", "--client", "--output=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.match(r"v1\.(\d+)\.", json.loads(done.stdout or "{}").get("clientVersion", {}).get("gitVersion", ""))
    return found is not None and int(found[1]) >= 21


needs_kubectl = pytest.mark.skipif(not has_kubectl(), reason="needs kubectl 1.21 or newer, which Debian 12 has not")

Resource = dict[str, Any]


def resources(*folders: str) -> list[Resource]:
    """What stands in the files of these folders, without the kustomizations."""
    paths = [path for folder in folders for path in sorted((FOLDER / folder).glob("*.yaml"))]
    return [yaml.safe_load(path.read_text()) for path in paths if path.name != "kustomization.yaml"]


@cache
def applied(folder: str) -> list[Resource]:
    """What `kubectl apply -k` would send."""
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER / folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def closed(schema: Any) -> Any:
    """The schema, in which an object has no properties but those named."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and "type" in schema and isinstance(schema["type"], str)
    return {**inner, "additionalProperties": False} if named and "additionalProperties" not in schema else inner


def problems(resource: Resource) -> list[str]:
    """What Kubernetes or KubeRay would find wrong with it, misspelt names too."""
    if not resource["apiVersion"].startswith("ray.io/"):
        return core_problems(resource)
    schema = closed(json.loads((KUBERAY / f"{resource['kind'].lower()}-v1.schema.json").read_text()))
    found = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(resource)]
    return found + [problem for pod in pods(resource) for problem in core_problems(pod)]


def core_problems(resource: Resource) -> list[str]:
    try:
        kubernetes_validate.validate(resource, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [str(error.message)]
    return []


def pods(resource: Resource) -> Iterator[Resource]:
    """The pods that KubeRay makes of it, by its templates."""
    spec = resource["spec"]
    if template := spec.get("submitterPodTemplate"):
        yield {"apiVersion": "v1", "kind": "Pod", **template}
    spec = spec.get("rayClusterSpec", spec)
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        yield {"apiVersion": "v1", "kind": "Pod", **group["template"]}


def custom(resources: list[Resource]) -> Resource:
    (found,) = [each for each in resources if each["apiVersion"].startswith("ray.io/")]
    return found


@needs_kuberay
def test_every_file_is_as_kubernetes_and_kuberay_want_it() -> None:
    found = {f"{each['kind']} {each['metadata']['name']}": problems(each) for each in resources("base", *WHOLE)}
    assert len(found) == 4
    assert {name: lines for name, lines in found.items() if lines} == {}


@needs_kuberay
def test_misspelt_names_and_wrong_types_are_found() -> None:
    resource = custom(resources("cluster"))
    for change in (
        lambda spec: spec.update(rayVersions="2.60.0"),
        lambda spec: spec["headGroupSpec"]["template"]["spec"].update(restartPolicies="Always"),
        lambda spec: spec["workerGroupSpecs"][0].update(replicas="2"),
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0].update(ports=[{"port": 8265}]),
        lambda spec: spec["authOptions"].update(mode="tokens"),
    ):
        wrong = copy.deepcopy(resource)
        change(wrong["spec"])
        assert problems(wrong)
    (claim,) = [each for each in resources("base") if each["kind"] == "PersistentVolumeClaim"]
    assert not problems(claim)
    claim["spec"]["accessMode"] = claim["spec"].pop("accessModes")
    assert problems(claim)


@pytest.mark.cluster
@needs_kubectl
@needs_kuberay
@pytest.mark.parametrize("folder", WHOLE)
def test_what_is_applied_is_whole(folder: str) -> None:
    kinds = {each["kind"] for each in applied(folder)}
    assert kinds == {"PersistentVolumeClaim", "NetworkPolicy", "RayJob" if "job" in folder else "RayCluster"}
    assert [problem for each in applied(folder) for problem in problems(each)] == []


@pytest.mark.cluster
@needs_kubectl
@pytest.mark.parametrize("kind", ["cluster", "job"])
def test_with_gpus_each_worker_has_one_and_the_image_has_cuda(kind: str) -> None:
    plain, on_gpus = custom(applied(kind)), custom(applied(f"{kind}-gpu"))
    assert {container["image"] for pod in pods(plain) for container in pod["spec"]["containers"]} == {"tune_lpc:cpu"}
    assert {container["image"] for pod in pods(on_gpus) for container in pod["spec"]["containers"]} == {"tune_lpc:cuda"}
    counts = {}
    for pod in pods(on_gpus):
        (container,) = pod["spec"]["containers"]
        counts[container["name"]] = container["resources"]["limits"].get("nvidia.com/gpu", 0)
    assert counts == {"ray-head": 0, "ray-worker": 1} | ({"submitter": 0} if kind == "job" else {})
    assert "nvidia.com/gpu" not in json.dumps(plain)


def test_a_job_has_the_same_cluster_as_the_one_that_stays() -> None:
    cluster, job = custom(resources("cluster")), custom(resources("job"))
    assert job["spec"]["rayClusterSpec"] == cluster["spec"]


def test_no_pod_has_more_rights_than_it_needs() -> None:
    for resource in (custom(resources("cluster")), custom(resources("job"))):
        for pod in pods(resource):
            spec = pod["spec"]
            assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 1000
            assert not spec["automountServiceAccountToken"]
            (container,) = spec["containers"]
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_the_token_comes_from_a_secret_and_stands_in_no_file() -> None:
    for resource in (custom(resources("cluster")), custom(resources("job"))):
        cluster = resource["spec"].get("rayClusterSpec", resource["spec"])
        assert cluster["authOptions"] == {"mode": "token", "secretName": "tune-lpc-token"}
    text = "".join(path.read_text() for path in FOLDER.rglob("*.yaml"))
    assert "kind: Secret" not in text and "RAY_AUTH_TOKEN" not in text


def test_the_nodes_are_asked_as_compose_asks_them() -> None:
    services = yaml.safe_load((FOLDER.parent / "compose.yaml").read_text())["services"]
    for pod, service in zip(pods(custom(resources("cluster"))), ("head", "worker"), strict=True):
        (container,) = pod["spec"]["containers"]
        asked = services[service]["healthcheck"]["test"][1:]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["exec"]["command"] == asked


def test_a_job_that_is_tried_again_goes_on_in_the_folder_that_outlasts_its_pods() -> None:
    job = custom(resources("job"))["spec"]
    words = job["entrypoint"].split()
    out = words[words.index("--out") + 1]
    assert "--resume" in words and job["backoffLimit"] > 0 and job["metadata"]["out"] == out
    for pod in list(pods({"spec": job}))[1:]:
        (container,) = pod["spec"]["containers"]
        claim = {"claimName": "tune-lpc"}
        claimed = [each["name"] for each in pod["spec"]["volumes"] if each.get("persistentVolumeClaim") == claim]
        mounts = [each["mountPath"] for each in container["volumeMounts"] if each["name"] in claimed]
        assert any(out.startswith(f"{mount}/") for mount in mounts)
    (claim,) = [each for each in resources("base") if each["kind"] == "PersistentVolumeClaim"]
    assert claim["metadata"]["name"] == "tune-lpc" and claim["spec"]["accessModes"] == ["ReadWriteMany"]
