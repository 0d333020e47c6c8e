#!/usr/bin/env python3
"""Checks rules, dashboards, runbooks and the environment files against the code. Exit code 1, one line per fault.

* every metric of a rule or a panel is in docs/metrics.md, is recorded by a rule, or belongs to a known exporter;
* every alert has severity, team, summary, description, a runbook with the five headings, and tests both ways;
* every panel has title, description, unit, a templated data source, and a query that promtool can parse;
* pending alerts still wait for a metric; every runbook belongs to an alert or is listed in docs/runbooks/README.md;
* every variable of .env.example and the compose files is one that the code reads, and the other way round.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import manifests

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RUNBOOKS = ROOT / "docs/runbooks"
HEADINGS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation", "## Escalation"]
SEVERITIES = {"critical", "warning", "info", "none"}
TEAMS = {"sre", "backend", "integrations", "compliance"}
# Of Prometheus, Alertmanager and the exporters that deploy/prometheus/prometheus.yml scrapes.
OUTSIDE = {
    "up", "ALERTS",
    "prometheus_rule_evaluation_failures_total", "prometheus_config_last_reload_successful",
    "alertmanager_notifications_failed_total", "alertmanager_config_last_reload_successful",
    "rabbitmq_detailed_queue_messages", "rabbitmq_detailed_queue_consumers",
    "rabbitmq_alarms_memory_used_watermark", "rabbitmq_alarms_free_disk_space_watermark",
    "pg_up", "pg_stat_activity_count", "pg_settings_max_connections", "pg_stat_activity_max_tx_duration",
    "pg_stat_database_deadlocks",
    "redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes",
}
KEYWORDS = {
    "by", "on", "without", "and", "or", "unless", "offset", "ignoring", "group_left", "group_right", "bool", "inf", "nan",
}
# read by programs other than the services
FOREIGN_VARIABLES = {"SYNCLINE_TOKEN", "SYNCLINE_API_URL", "DEMO_DRIVE_ID", "LOG_LEVEL"}
# read by the services' code, but set by nobody who deploys them
NOT_SETTINGS = {"SYNCLINE_FIXTURES", "SYNCLINE_GIT_REVISION", "CARGO_MANIFEST_DIR", "CARGO_PKG_VERSION", "DEMO_DRIVE_ID"}

faults = []


def fault(text):
    faults.append(text)


def metrics_of_code():
    """Name to kind, from the table in docs/metrics.md."""
    table = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    return dict(table)


def metrics_of(expr):
    """Names of metrics in a PromQL expression."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', expr)
    text = re.sub(r"\{[^}]*\}", "", text)
    text = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    names = re.findall(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()", text)
    return {n for n in names if n not in KEYWORDS and not re.fullmatch(r"[smhdwy]", n)}


def base(name, kinds):
    """The described metric behind a series of a histogram."""
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix) and kinds.get(name[: -len(suffix)]) == "histogram":
            return name[: -len(suffix)]
    return name


def check_metrics(where, expr, kinds, recorded):
    for name in sorted(metrics_of(expr)):
        if name not in OUTSIDE and name not in recorded and base(name, kinds) not in kinds:
            fault(f"{where}: nobody exports {name}")
        if kinds.get(name) == "histogram":
            fault(f"{where}: {name} is a histogram: name its _bucket, _count or _sum")


def load_rules(folder):
    rules = []
    for path in sorted((PROMETHEUS / folder).glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            rules += [(path.name, rule) for rule in group["rules"]]
    return rules


def check_rules(kinds):
    rules = load_rules("rules")
    recorded = {rule["record"] for _, rule in rules if "record" in rule}
    tests = "\n".join(path.read_text() for path in (PROMETHEUS / "tests").glob("*.yml"))
    alerts = {}
    for file, rule in rules:
        check_metrics(f"{file}: {rule.get('alert', rule.get('record'))}", rule["expr"], kinds, recorded)
        if "alert" in rule:
            alerts.setdefault(rule["alert"], []).append(rule)
    for name, group in alerts.items():
        for rule in group:
            check_alert(name, rule)
        if not re.search(rf"name: {name} (pages|fires|always fires)", tests):
            fault(f"{name}: no test shows that it fires")
        if name != "Watchdog" and not re.search(rf"name: {name} stays silent", tests):
            fault(f"{name}: no test shows that it stays silent")
    check_pending(kinds, recorded)
    return recorded, set(alerts)


def check_alert(name, rule):
    labels, notes = rule.get("labels", {}), rule.get("annotations", {})
    if labels.get("severity") not in SEVERITIES or labels.get("team") not in TEAMS:
        fault(f"{name}: severity {labels.get('severity')}, team {labels.get('team')}")
    for field in ("summary", "description", "runbook_url"):
        if not notes.get(field):
            fault(f"{name}: no {field}")
    if not notes.get("runbook_url", "").endswith(f"/{name}.md"):
        fault(f"{name}: its runbook_url does not end in {name}.md")


def check_pending(kinds, recorded):
    text = (PROMETHEUS / "pending/alerts.yml").read_text()
    waits = dict(reversed(pair) for pair in re.findall(r"# waits for: (\w+)[^\n]*\n\s+- alert: (\w+)", text))
    for _, rule in load_rules("pending"):
        metric = waits.get(rule["alert"])
        if metric is None:
            fault(f"pending: {rule['alert']} does not say what it waits for")
        elif metric not in metrics_of(rule["expr"]):
            fault(f"pending: {rule['alert']} does not use {metric}")
        elif metric in kinds or metric in recorded:
            print(f"notice: {metric} exists now: move {rule['alert']} from pending/ to rules/, with a test and a runbook")
        check_alert(rule["alert"], rule)


def check_runbooks(alerts):
    index = (RUNBOOKS / "README.md").read_text() if (RUNBOOKS / "README.md").exists() else ""
    for name in sorted(alerts):
        path = RUNBOOKS / f"{name}.md"
        if not path.exists():
            fault(f"{name}: docs/runbooks/{name}.md does not exist")
            continue
        text = path.read_text()
        if [line for line in text.splitlines() if line in HEADINGS] != HEADINGS:
            fault(f"docs/runbooks/{name}.md: needs the headings {', '.join(h[3:] for h in HEADINGS)}, in this order")
    for path in RUNBOOKS.glob("*.md"):
        if path.stem not in alerts and path.name != "README.md" and f"({path.name})" not in index:
            fault(f"docs/runbooks/{path.name}: belongs to no alert and is not in README.md")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            if not (path.parent / link).exists():
                fault(f"docs/runbooks/{path.name}: {link} does not exist")
    check_commands()


def check_commands():
    """Subcommands of syncctl, paths of REST and tables of SQL that runbooks name."""
    openapi = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    routes = [re.sub(r"\{\w+\}", r"[^/]+", path) for path in openapi] + ["/openapi.json", "/livez", "/readyz", "/metrics", "/log-level"]
    ingress = (ROOT / "crates/webhook-ingress/src/lib.rs").read_text()
    routes += re.findall(r'"(/api/webhooks/[\w/-]+)"', ingress)
    sources = [ROOT / "crates/syncctl/src/cli.rs", *sorted((ROOT / "crates/syncctl/src/cli").glob("*.rs"))]
    cli = "".join(source.read_text() for source in sources)
    known = {re.sub(r"(?<!^)(?=[A-Z])", "-", n).lower() for n in re.findall(r"^\s+([A-Z]\w+)(?:\(|\s\{|,)", cli, re.M)}
    sql = "\n".join(p.read_text() for p in (ROOT / "migrations").glob("*.sql"))
    tables = set(re.findall(r"CREATE (?:TABLE|VIEW)(?: IF NOT EXISTS)? (\w+)", sql))
    for path in RUNBOOKS.glob("*.md"):
        text = path.read_text()
        for block in re.findall(r"```(?:\w*)[^\n]*\n(.*?)```", text, re.S):
            for call in re.findall(r"syncctl ([a-z-]+)(?: ([a-z-]+))?", block):
                for word in filter(None, call):
                    if word not in known and not word.startswith("-"):
                        fault(f"docs/runbooks/{path.name}: syncctl {' '.join(filter(None, call))} does not exist")
                        break
            for url in re.findall(r"(?:\$API_URL|\$SYNCLINE_API_URL|localhost:(?:3000|3001|91\d\d)|\$WEBHOOK_URL)(/[^\s\"'?]*)", block):
                if not any(re.fullmatch(route, url) for route in routes):
                    fault(f"docs/runbooks/{path.name}: {url} is no route")
        for block in re.findall(r"```sql[^\n]*\n(.*?)```", text, re.S):
            for table in re.findall(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+([a-z_]+)\b(?!\s*\()", block):
                if table not in tables and not table.startswith(("pg_", "information_schema")):
                    fault(f"docs/runbooks/{path.name}: the table {table} does not exist")


def check_dashboards(kinds, recorded):
    queries, uids = [], set()
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        where = f"dashboards/{path.name}"
        if board["uid"] in uids or board["editable"] or board["schemaVersion"] < 36:
            fault(f"{where}: uid used twice, editable, or an old schema")
        uids.add(board["uid"])
        variables = {v["name"] for v in board["templating"]["list"]}
        ids = [p["id"] for p in board["panels"]]
        if len(ids) != len(set(ids)):
            fault(f"{where}: panel ids are not unique")
        expressions = [(f"{where}: annotation", a["expr"]) for a in board["annotations"]["list"]]
        for panel in board["panels"]:
            if panel["type"] == "row":
                continue
            name = f"{where}: {panel['title']}"
            if not panel["title"] or not panel.get("description") or not panel["fieldConfig"]["defaults"].get("unit"):
                fault(f"{name}: needs title, description and unit")
            if panel["datasource"]["uid"] != "${datasource}" or not panel["targets"]:
                fault(f"{name}: needs the templated data source and a query")
            expressions += [(name, t["expr"]) for t in panel["targets"]]
        for name, expr in expressions:
            used = set(re.findall(r"\$(?!__)(\w+)", expr))
            if used - variables:
                fault(f"{name}: no variable {', '.join(used - variables)}")
            plain = re.sub(r"\$(?!__)\w+", ".*", expr.replace("$__rate_interval", "5m"))
            check_metrics(name, plain, kinds, recorded)
            for metric in metrics_of(plain):
                if kinds.get(metric) == "counter" and not re.search(rf"(?:rate|increase)\({metric}\b", plain):
                    fault(f"{name}: the counter {metric} without rate() or increase()")
            queries.append((name, plain))
    parse(queries)
    return len(queries)


def parse(queries):
    """promtool reads each query as a recording rule."""
    if not shutil.which("promtool"):
        print("notice: promtool is not installed: the dashboards' queries are not parsed")
        return
    rules = [{"record": f"query:number{i}", "expr": expr} for i, (_, expr) in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        answer = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
    if answer.returncode:
        for number, text in re.findall(r'rule \d+, "query:number(\d+)"[^\n]*?(could not parse[^\n]*)', answer.stderr + answer.stdout):
            fault(f"{queries[int(number)][0]}: {text}")
        if not faults:
            fault(f"dashboards: {answer.stderr or answer.stdout}")


def check_environment():
    code = manifests.variables_of_code()
    # what a configuration reader asks for, as opposed to any text in capitals
    asked = set()
    for source in (ROOT / "crates").glob("*/src/**/*.rs"):
        if source.parts[-3] in ("emulator", "testkit") or "emulator" in source.parts or "testkit" in source.parts:
            continue
        asked |= set(re.findall(
            r'(?:env\s*\.\s*|self\.)(?:string|parse|parse_optional|optional|required|secret|required_secret|flag|seconds)\(\s*"([A-Z][A-Z0-9_]+)"',
            source.read_text()))
        asked |= set(re.findall(r'\b(?:millis\(|\w+\(\s*env,\s*)"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', source.read_text()))
    asked -= NOT_SETTINGS | {"PATH"}
    example = (ROOT / ".env.example").read_text()
    written = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.M))
    compose = {}
    for name in ("docker-compose.yml", "docker-compose.prod.yml"):
        text = (ROOT / name).read_text()
        compose[name] = yaml.safe_load(text)
        for variable in set(re.findall(r"\$\{([A-Z][A-Z0-9_]+)", text)) - written - {"SECRETS_DIR"}:
            fault(f"{name}: ${{{variable}}} is not in .env.example")
    for variable in sorted(asked - written - {"SYNCLINE_API_URL"}):
        fault(f".env.example: {variable}, which the code reads, is missing")
    for name, spec in compose.items():
        for service, item in spec["services"].items():
            if not isinstance(item.get("command"), list) or item["command"][0] not in manifests.PORTS:
                continue
            for variable in item["environment"]:
                if variable not in code | FOREIGN_VARIABLES and not manifests.coming(variable):
                    fault(f"{name}: {service}: no code reads {variable}")
            public, admin = manifests.PORTS[service]
            for variable, value in item["environment"].items():
                if variable.endswith("_ADDR") and value != f"0.0.0.0:{admin if 'ADMIN' in variable else public}":
                    fault(f"{name}: {service}: {variable} is {value}")
            if f":{admin}/readyz" not in str(item.get("healthcheck")):
                fault(f"{name}: {service}: its health check is not /readyz at {admin}")
            for port in item.get("ports", []):
                if not port.startswith("127.0.0.1:"):
                    fault(f"{name}: {service}: {port} is open to the network")
    for name, spec in compose.items():
        for service, item in spec["services"].items():
            for port in item.get("ports", []):
                if not str(port).startswith("127.0.0.1:"):
                    fault(f"{name}: {service}: {port} is open to the network")
    return len(asked)


def check_collector():
    """Pipelines name what exists; the limiter is first, and nothing is batched before it is sampled."""
    spec = yaml.safe_load((ROOT / "deploy/otel/collector.yml").read_text())
    used = {"receivers": set(), "processors": set(), "exporters": set()}
    for name, pipeline in spec["service"]["pipelines"].items():
        for kind, members in used.items():
            members |= set(pipeline[kind])
            for member in pipeline[kind]:
                if member not in spec[kind]:
                    fault(f"collector: the pipeline {name} names {member}, which is not among the {kind}")
        order = pipeline["processors"]
        if order[0] != "memory_limiter" or order.index("tail_sampling") > order.index("batch"):
            fault(f"collector: the order of the processors of {name}: memory_limiter, tail_sampling, batch")
    for kind, members in used.items():
        for member in set(spec[kind]) - members:
            fault(f"collector: {member} is in no pipeline")


def main():
    check_collector()
    kinds = metrics_of_code()
    recorded, alerts = check_rules(kinds)
    check_runbooks(alerts)
    queries = check_dashboards(kinds, recorded)
    variables = check_environment()
    print(f"{len(alerts)} alerts, {queries} queries of dashboards, {len(kinds)} metrics, {variables} variables, {len(faults)} faults")
    for text in faults:
        print(text, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
