"""The part of kustomize that k8s/ uses, so that its manifests are checked where no kubectl is installed.

resources, components, namespace, labels, configMapGenerator and secretGenerator with merge, images, replicas, and JSON
patches with a target. Whatever else a kustomization.yaml says is an error, not a silence. scripts/check/manifests.py
compares the result with that of `kubectl kustomize` where there is one.
"""

import copy
import hashlib
import json
import re
from pathlib import Path

import yaml

KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "components", "labels", "configMapGenerator", "secretGenerator",
    "images", "replicas", "patches",
}
CLUSTER_KINDS = {"Namespace"}
NAME_REFERENCES = {"ConfigMap": ("configMapRef", "configMapKeyRef", "configMap"), "Secret": ("secretRef", "secretKeyRef", "secret")}


class KustomizeError(Exception):
    """What cannot be built, and where."""


def load(path):
    """The documents of a YAML file."""
    return [doc for doc in yaml.safe_load_all(path.read_text()) if doc]


def build(folder):
    """The resources of a kustomization, references to generated names resolved."""
    resources = _accumulate(Path(folder).resolve(), [])
    _hash_names(resources)
    for item in resources:
        item.pop("#hashed", None)
    return resources


def _accumulate(folder, above):
    """Resources of `folder`; a component (kind: Component) is laid over `above`."""
    file = folder / "kustomization.yaml"
    if not file.is_file():
        raise KustomizeError(f"{folder}: no kustomization.yaml")
    spec = load(file)[0]
    unknown = set(spec) - KNOWN
    if unknown:
        raise KustomizeError(f"{file}: fields that this renderer does not know: {', '.join(sorted(unknown))}")
    resources = above if spec["kind"] == "Component" else []
    for entry in spec.get("resources", []):
        path = folder / entry
        if path.is_dir():
            resources += _accumulate(path.resolve(), [])
        elif path.is_file():
            resources += load(path)
        else:
            raise KustomizeError(f"{file}: the resource {entry} does not exist")
    for kind, field in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for generator in spec.get(field, []):
            _generate(kind, generator, folder, resources)
    for entry in spec.get("components", []):
        _accumulate((folder / entry).resolve(), resources)
    for patch in spec.get("patches", []):
        _patch(patch, folder, resources)
    if spec.get("namespace"):
        for item in resources:
            if item["kind"] not in CLUSTER_KINDS:
                item["metadata"]["namespace"] = spec["namespace"]
            elif item["kind"] == "Namespace":
                item["metadata"]["name"] = spec["namespace"]
    for labels in spec.get("labels", []):
        for item in resources:
            item["metadata"].setdefault("labels", {}).update(labels["pairs"])
            template = item.get("spec", {}).get("template") if isinstance(item.get("spec"), dict) else None
            if labels.get("includeTemplates") and isinstance(template, dict) and "spec" in template:
                template.setdefault("metadata", {}).setdefault("labels", {}).update(labels["pairs"])
    for replica in spec.get("replicas", []):
        hit = [r for r in resources if r["metadata"]["name"] == replica["name"] and "replicas" in r.get("spec", {})]
        if not hit:
            raise KustomizeError(f"{file}: replicas of {replica['name']}, which does not exist")
        for item in hit:
            item["spec"]["replicas"] = replica["count"]
    for image in spec.get("images", []):
        _image(image, resources)
    return resources


def _generate(kind, generator, folder, resources):
    data = {}
    for entry in generator.get("envs", []):
        for line in (folder / entry).read_text().splitlines():
            line = line.strip()
            if line and not line.startswith("#"):
                key, _, value = line.partition("=")
                data[key] = value
    for entry in generator.get("files", []):
        key, _, path = entry.rpartition("=")
        data[key or Path(path).name] = (folder / path).read_text()
    for entry in generator.get("literals", []):
        key, _, value = entry.partition("=")
        data[key] = value
    name = generator["name"]
    options = generator.get("options", {})
    if generator.get("behavior") == "merge":
        for item in resources:
            if item["kind"] == kind and item["metadata"]["name"] == name:
                item["data"].update(data)
                return
        raise KustomizeError(f"{folder}: {kind} {name} is to be merged, but does not exist")
    metadata = {"name": name}
    if options.get("labels"):
        metadata["labels"] = dict(options["labels"])
    resources.append({
        "apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data,
        "#hashed": not options.get("disableNameSuffixHash"),
    })


def matches(target, item):
    """Whether a patch's target means this resource; its fields are regular expressions of the whole value."""
    group, _, version = item["apiVersion"].rpartition("/")
    have = {"group": group, "version": version, "kind": item["kind"], "name": item["metadata"]["name"]}
    return all(re.fullmatch(pattern, have[field]) for field, pattern in target.items())


def _patch(patch, folder, resources):
    text = (folder / patch["path"]).read_text() if "path" in patch else patch["patch"]
    operations = yaml.safe_load(text)
    if not isinstance(operations, list) or "target" not in patch:
        raise KustomizeError(f"{folder}: only JSON patches with a target are used here")
    hit = [item for item in resources if matches(patch["target"], item)]
    if not hit:
        raise KustomizeError(f"{folder}: the target {patch['target']} of a patch does not exist")
    for item in hit:
        for operation in operations:
            _apply(item, operation, folder)


def _apply(item, operation, folder):
    parts = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].lstrip("/").split("/")]
    parent = item
    for part in parts[:-1]:
        try:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        except (KeyError, IndexError):
            raise KustomizeError(f"{folder}: {operation['path']} does not exist in {item['kind']} {item['metadata']['name']}") from None
    last, kind = parts[-1], operation["op"]
    key = last if isinstance(parent, dict) else (len(parent) if last == "-" else int(last))
    there = key in parent if isinstance(parent, dict) else key < len(parent)
    if kind in ("replace", "remove") and not there:
        raise KustomizeError(f"{folder}: {operation['path']} does not exist in {item['kind']} {item['metadata']['name']}")
    if kind == "remove":
        del parent[key]
    elif kind in ("add", "replace"):
        value = copy.deepcopy(operation["value"])
        if isinstance(parent, list) and kind == "add":
            parent.insert(key, value)
        else:
            parent[key] = value
    else:
        raise KustomizeError(f"{folder}: the operation {kind} is not used here")


def containers(item):
    """All containers of a workload, init containers first."""
    template = item.get("spec", {}).get("template", {}) if isinstance(item.get("spec"), dict) else {}
    spec = template.get("spec", {}) if isinstance(template, dict) else {}
    return spec.get("initContainers", []) + spec.get("containers", [])


def _image(image, resources):
    for item in resources:
        for container in containers(item):
            name, tag = re.fullmatch(r"(.+?)((?:[:@][^/]*)?)", container["image"]).groups()
            if name == image["name"]:
                if "digest" in image:
                    tag = "@" + image["digest"]
                elif "newTag" in image:
                    tag = f":{image['newTag']}"
                container["image"] = image.get("newName", name) + tag


def _hash_names(resources):
    renamed = {}
    for item in resources:
        if item.get("#hashed"):
            name = item["metadata"]["name"]
            digest = hashlib.sha256(json.dumps([name, item["data"]], sort_keys=True).encode()).hexdigest()[:10]
            renamed[item["kind"], name] = item["metadata"]["name"] = f"{name}-{digest}"

    def walk(node, field=None):
        if isinstance(node, dict):
            for kind, fields in NAME_REFERENCES.items():
                key = "secretName" if field == "secret" and kind == "Secret" else "name"
                if field in fields and (kind, node.get(key)) in renamed:
                    node[key] = renamed[kind, node[key]]
            for key, value in node.items():
                walk(value, key)
        elif isinstance(node, list):
            for value in node:
                walk(value, field)

    for item in resources:
        walk(item)
