#!/usr/bin/env python3
"""Checks k8s/: renders each overlay and holds it against the code.

    scripts/check/manifests.py             all overlays; exit code 1 with one line per fault
    scripts/check/manifests.py OUTPUT_DIR  also writes each rendered overlay there, for schema validation

Where kubectl is installed, its rendering must agree with ours.
"""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

import kustomize

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ["overlays/dev", "overlays/staging", "overlays/prod", "overlays/dev/migrate", "overlays/staging/migrate", "overlays/prod/migrate"]
# service: (public or gRPC port, admin port); the ports of README.md
PORTS = {
    "api": (3000, 9100),
    "webhook-ingress": (3001, 9101),
    "scheduler": (None, 9102),
    "graph-connector": (50051, 9103),
    "gcal-connector": (50052, 9104),
    "sync-worker": (None, 9105),
    "audit-retention": (None, 9106),
}
# Programs whose crate is on its way: named once per run, no fault.
COMING = {"gcal-connector"}
# Not ours: of Kubernetes, of the OpenTelemetry SDK.
FOREIGN_VARIABLES = {"POD_NAME", "POD_NAMESPACE", "NODE_NAME", "OTEL_RESOURCE_ATTRIBUTES"}
# preStop + SHUTDOWN_GRACE_SECONDS + room
ROOM_SECONDS = 10
# made outside: by external-secrets, by cert-manager
OUTSIDE_SECRETS = {"syncline-tls"}


def variables_of_code():
    """Names that the configuration readers ask for, with their _FILE forms, and {SERVICE}_ADMIN_ADDR."""
    names = set()
    for source in (ROOT / "crates").glob("*/src/**/*.rs"):
        text = source.read_text()
        names |= set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', text))
        # a name may stand in a constant: NAME: &str = "TOKEN_ENCRYPTION_KEYS"; env.secret(NAME)
        for secret in re.findall(r'(?:secret\(|(?:KeyRing|Self)::read\(env, )(?:"([A-Z0-9_]+)"|([A-Z_]+))\)', text):
            constant = re.search(rf'{secret[1]}: &str = "([A-Z0-9_]+)"', text) if secret[1] else None
            names.add(f"{constant[1] if constant else secret[0]}_FILE")
    for service in PORTS:
        names.add(service.upper().replace("-", "_") + "_ADMIN_ADDR")
    return names


def coming(variable):
    """Whether it belongs to a program whose crate is on its way."""
    return not (ROOT / "crates/gcal-connector").is_dir() and re.match(r"(GOOGLE|GCAL_CONNECTOR)_|TOKEN_ENCRYPTION_KEYS", variable)


class Check:
    """Faults of one overlay."""

    def __init__(self, overlay, resources, variables):
        self.overlay, self.resources, self.variables = overlay, resources, variables
        self.faults = []

    def fault(self, item, text):
        self.faults.append(f"{self.overlay}: {item['kind']} {item['metadata']['name']}: {text}")

    def named(self, kind):
        return {r["metadata"]["name"]: r for r in self.resources if r["kind"] == kind}

    def run(self):
        self.unique()
        for item in self.resources:
            if item["kind"] in ("Deployment", "StatefulSet", "Job"):
                self.workload(item)
            if item["kind"] == "Service":
                self.service(item)
            if item["kind"] == "PodDisruptionBudget":
                self.selects(item, item["spec"]["selector"]["matchLabels"])
            if item["kind"] == "Ingress":
                self.ingress(item)
            if item["kind"] == "NetworkPolicy":
                self.policy(item)
            if item["kind"] == "ScaledObject":
                self.scaled(item)
        return self.faults

    def unique(self):
        seen = set()
        for item in self.resources:
            key = item["apiVersion"], item["kind"], item["metadata"]["name"]
            if key in seen:
                self.fault(item, "exists twice")
            seen.add(key)
            if item["kind"] != "Namespace" and item["metadata"].get("namespace") != "syncline":
                self.fault(item, "is not in the namespace syncline")

    def pods(self):
        return [r for r in self.resources if r["kind"] in ("Deployment", "StatefulSet", "Job")]

    def matching(self, labels):
        return [p for p in self.pods() if labels.items() <= p["spec"]["template"]["metadata"]["labels"].items()]

    def selects(self, item, labels):
        if not self.matching(labels):
            self.fault(item, f"selects no pod: {labels}")

    def service(self, item):
        self.selects(item, item["spec"]["selector"])
        for pod in self.matching(item["spec"]["selector"]):
            ports = {p["name"] for c in kustomize.containers(pod) for p in c.get("ports", [])}
            for port in item["spec"]["ports"]:
                if port["targetPort"] not in ports:
                    self.fault(item, f"port {port['targetPort']} is not one of {pod['metadata']['name']}")

    def ingress(self, item):
        services = self.named("Service")
        for rule in item["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                found = services.get(backend["name"])
                if not found or backend["port"]["name"] not in {p["name"] for p in found["spec"]["ports"]}:
                    self.fault(item, f"no service {backend}")

    def policy(self, item):
        spec = item["spec"]
        if spec["podSelector"]:
            self.selects(item, spec["podSelector"]["matchLabels"])
        for direction, end in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, []):
                for peer in rule.get(end, []):
                    labels = peer.get("podSelector", {}).get("matchLabels")
                    if labels and "namespaceSelector" not in peer:
                        self.selects(item, labels)
                        targets = self.matching(labels) if direction == "egress" else self.matching(spec["podSelector"]["matchLabels"])
                        for pod in targets:
                            open_ports = {p["containerPort"] for c in kustomize.containers(pod) for p in c.get("ports", [])}
                            for port in rule.get("ports", []):
                                if isinstance(port["port"], int) and port["port"] not in open_ports:
                                    self.fault(item, f"{pod['metadata']['name']} has no port {port['port']}")

    def scaled(self, item):
        target = item["spec"]["scaleTargetRef"]["name"]
        deployment = self.named("Deployment").get(target)
        if not deployment:
            self.fault(item, f"its target {target} does not exist")
        elif "replicas" in deployment["spec"]:
            self.fault(item, f"{target} also has a fixed number of replicas")
        if "fallback" not in item["spec"]:
            self.fault(item, "has no fallback: scaling freezes when a trigger does not answer")
        authentications = self.named("TriggerAuthentication")
        for trigger in item["spec"]["triggers"]:
            name = trigger.get("authenticationRef", {}).get("name")
            if name and name not in authentications:
                self.fault(item, f"its TriggerAuthentication {name} does not exist")

    def secrets(self):
        keys = {}
        for name, item in self.named("Secret").items():
            keys[name] = set(item.get("data", {})) | set(item.get("stringData", {}))
        for item in self.named("ExternalSecret").values():
            keys[item["spec"]["target"]["name"]] = {d["secretKey"] for d in item["spec"]["data"]}
        return keys

    def workload(self, item):
        name = item["metadata"]["name"]
        template = item["spec"]["template"]
        pod = template["spec"]
        if item["kind"] != "Job":
            wanted = item["spec"]["selector"]["matchLabels"]
            if not wanted.items() <= template["metadata"]["labels"].items():
                self.fault(item, "its selector does not match its pods")
        if template["metadata"]["labels"].get("app.kubernetes.io/part-of") != "syncline":
            self.fault(item, "its pods are not labelled part-of: syncline")
        if pod.get("serviceAccountName") not in self.named("ServiceAccount"):
            self.fault(item, f"its service account {pod.get('serviceAccountName')} does not exist")
        if pod.get("automountServiceAccountToken") is not False:
            self.fault(item, "mounts a token of Kubernetes")
        self.restricted(item, pod)
        if "migrate" not in self.overlay:
            self.references(item, pod)
        if name in PORTS:
            self.ours(item, pod, name)

    def restricted(self, item, pod):
        """Pod Security Standard `restricted`, and a read-only root for our own programs."""
        security = pod.get("securityContext", {})
        if not security.get("runAsNonRoot") or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            self.fault(item, "is not restricted (runAsNonRoot, seccompProfile)")
        for container in kustomize.containers(item):
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
                self.fault(item, f"{container['name']} is not restricted (allowPrivilegeEscalation, capabilities)")
            if "syncline" in container["image"] and not own.get("readOnlyRootFilesystem"):
                self.fault(item, f"{container['name']} may write to its root")
            if not {"requests", "limits"} <= set(container.get("resources", {})):
                self.fault(item, f"{container['name']} has no requests or limits")
            if not re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"]) or container["image"].endswith(":latest"):
                self.fault(item, f"{container['name']} has no fixed image: {container['image']}")

    def references(self, item, pod):
        secrets, maps = self.secrets(), self.named("ConfigMap")
        volumes = {}
        for volume in pod.get("volumes", []):
            volumes[volume["name"]] = volume
            if "secret" in volume:
                found = secrets.get(volume["secret"]["secretName"])
                wanted = {i["key"] for i in volume["secret"].get("items", [])}
                if found is None:
                    self.fault(item, f"the secret {volume['secret']['secretName']} does not exist")
                elif not wanted <= found:
                    self.fault(item, f"the secret {volume['secret']['secretName']} lacks {wanted - found}")
            if "configMap" in volume and volume["configMap"]["name"] not in maps:
                self.fault(item, f"the config map {volume['configMap']['name']} does not exist")
        claims = {c["metadata"]["name"] for c in item["spec"].get("volumeClaimTemplates", [])}
        for container in kustomize.containers(item):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes and mount["name"] not in claims:
                    self.fault(item, f"mounts {mount['name']}, which is no volume")
            for source in container.get("envFrom", []):
                if source["configMapRef"]["name"] not in maps:
                    self.fault(item, f"the config map {source['configMapRef']['name']} does not exist")
            for variable in container.get("env", []):
                key = variable.get("valueFrom", {}).get("secretKeyRef")
                if key and key["key"] not in secrets.get(key["name"], set()):
                    self.fault(item, f"{variable['name']}: no key {key['key']} in the secret {key['name']}")

    def ours(self, item, pod, name):
        container = pod["containers"][0]
        environment = {v["name"]: v.get("value", "") for v in container["env"]}
        maps = self.named("ConfigMap")
        settings = dict(environment)
        for source in container.get("envFrom", []):
            settings.update(maps.get(source["configMapRef"]["name"], {}).get("data", {}))
        for variable in settings:
            if variable not in self.variables | FOREIGN_VARIABLES and not coming(variable):
                self.fault(item, f"no code reads {variable}")
        if container["command"] != [name]:
            self.fault(item, f"its command is {container['command']}")
        public, admin = PORTS[name]
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        if ports.pop("admin", None) != admin or set(ports.values()) != ({public} if public else set()):
            self.fault(item, f"its ports are not {PORTS[name]}")
        for variable, value in environment.items():
            if variable.endswith(("_HTTP_ADDR", "_GRPC_ADDR", "_ADMIN_ADDR")):
                wanted = admin if variable.endswith("_ADMIN_ADDR") else public
                if value != f"0.0.0.0:{wanted}":
                    self.fault(item, f"{variable} is {value}, its port is {wanted}")
        mounts = {m["mountPath"]: m["name"] for m in container.get("volumeMounts", [])}
        volumes = {v["name"]: v for v in pod["volumes"]}
        for variable, value in environment.items():
            if variable.endswith("_FILE"):
                folder, _, file = value.rpartition("/")
                volume = volumes.get(mounts.get(folder), {})
                if file not in {i["path"] for i in volume.get("secret", {}).get("items", [])}:
                    self.fault(item, f"{variable} names {value}, which is not mounted")
        for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            if container.get(probe, {}).get("httpGet") != {"path": path, "port": "admin"}:
                self.fault(item, f"its {probe} is not {path} at the admin port")
        drain = container["lifecycle"]["preStop"]["sleep"]["seconds"] + int(settings.get("SHUTDOWN_GRACE_SECONDS", 25))
        if pod["terminationGracePeriodSeconds"] < drain + ROOM_SECONDS:
            self.fault(item, f"has {pod['terminationGracePeriodSeconds']} s to end, needs {drain + ROOM_SECONDS}")
        if name not in self.named("PodDisruptionBudget"):
            self.fault(item, "has no PodDisruptionBudget")
        # who is called must be reachable by policy
        labels = item["spec"]["template"]["metadata"]["labels"]
        for variable, edge in (("DATABASE_URL_FILE", "postgres"), ("AMQP_URL_FILE", "rabbitmq"), ("REDIS_URL_FILE", "redis"),
                               ("GRAPH_CONNECTOR_URL", "graph-connector"), ("GCAL_CONNECTOR_URL", "gcal-connector"), ("AZURE_CLIENT_SECRET_FILE", "providers"),
                               ("GOOGLE_CLIENT_SECRET_FILE", "providers"), ("JWT_JWKS_URL", "token-issuer"), ("AUDIT_ARCHIVE_URL", "archives")):
            if variable in settings and f"syncline.io/to-{edge}" not in labels:
                self.fault(item, f"has {variable}, but not the label syncline.io/to-{edge}")


def normal(resources):
    """For comparison: by kind and name without the hash, references too; Secret data as text."""
    hashes = {}
    for item in resources:
        if item["kind"] in ("ConfigMap", "Secret"):
            name = item["metadata"]["name"]
            short = re.sub(r"-[0-9a-z]{10}$", "", name)
            hashes[name] = short
    text = json.dumps(resources, sort_keys=True)
    for name, short in hashes.items():
        text = text.replace(f'"{name}"', f'"{short}"')
    result = {}
    for item in json.loads(text):
        if item["kind"] == "Secret" and item.pop("type", None):
            item["data"] = {k: base64.b64decode(v).decode() for k, v in item["data"].items()}
        item["metadata"].pop("creationTimestamp", None)
        result[item["kind"], item["metadata"]["name"]] = item
    return result


def compare(overlay, ours):
    """Faults where kubectl renders something else; None when it cannot be asked."""
    kubectl = shutil.which("kubectl")
    if not kubectl:
        return None
    answer = subprocess.run([kubectl, "kustomize", str(ROOT / "k8s" / overlay)], capture_output=True, text=True, check=False)
    if answer.returncode:
        if "unknown field" in answer.stderr:  # older than kustomize 4
            return None
        return [f"{overlay}: kubectl kustomize: {answer.stderr.strip()}"]
    theirs = normal([d for d in yaml.safe_load_all(answer.stdout) if d])
    ours = normal(ours)
    faults = [f"{overlay}: {key} is rendered by only one of kubectl and scripts/check" for key in theirs.keys() ^ ours.keys()]
    faults += [f"{overlay}: {key} is rendered otherwise by kubectl" for key in theirs.keys() & ours.keys() if theirs[key] != ours[key]]
    return faults


def main():
    variables = variables_of_code()
    faults, compared = [], 0
    for overlay in OVERLAYS:
        try:
            resources = kustomize.build(ROOT / "k8s" / overlay)
        except kustomize.KustomizeError as error:
            faults.append(str(error))
            continue
        faults += Check(overlay, resources, variables).run()
        difference = compare(overlay, resources)
        compared += difference is not None
        faults += difference or []
        if len(sys.argv) > 1:
            out = Path(sys.argv[1]) / (overlay.replace("/", "-") + ".yaml")
            for item in resources:
                if item["kind"] == "Secret" and "type" not in item:
                    item["stringData"] = item.pop("data")
            out.write_text(yaml.safe_dump_all(resources, sort_keys=False))
    for service in PORTS:
        if not (ROOT / "crates" / service).is_dir():
            text = f"k8s: the crate of {service} does not exist"
            if service in COMING:
                print(f"notice: {text} yet")
            else:
                faults.append(text)
    print(f"{len(OVERLAYS)} overlays rendered, {compared} compared with kubectl, {len(faults)} faults")
    for text in faults:
        print(text, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
