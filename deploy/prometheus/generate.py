#!/usr/bin/env python3
"""Writes rules/slo.yml (recording rules and burn-rate alerts of every objective below) and the PrometheusRule of
k8s/components/prometheus-operator from all of rules/*.yml.

    deploy/prometheus/generate.py            writes
    deploy/prometheus/generate.py --check    exit code 1 when a committed file differs

Burn rates are those of the SRE workbook for 30 days: a long window says that it matters, a short one that it still
goes on. Without a minimum of events a single failure in a quiet night would page.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RUNBOOKS = "https://runbooks.syncline.example"

WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
# severity, burn, long, short, for, share of the month's budget that is gone by then
ALERTS = [
    ("critical", 14.4, "1h", "5m", "2m", "2 %"),
    ("critical", 6, "6h", "30m", "15m", "5 %"),
    ("warning", 3, "1d", "2h", "1h", "10 %"),
    ("warning", 1, "3d", "6h", "3h", "10 %"),
]

# name, objective in %, bad events, all events, at least so many events in the long window, what it says.
# A bucket's bound is written 30 by our exporter and 30.0 by newer Prometheus servers.
SLOS = [
    (
        "api-availability",
        99.5,
        'sum(rate(api_request_duration_seconds_count{{job="api",status=~"5.."}}[{w}]))',
        'sum(rate(api_request_duration_seconds_count{{job="api"}}[{w}]))',
        50,
        "requests to the API are answered without 5xx",
    ),
    (
        "webhook-availability",
        99.5,
        'sum(rate(api_request_duration_seconds_count{{job="webhook-ingress",status=~"5.."}}[{w}]))',
        'sum(rate(api_request_duration_seconds_count{{job="webhook-ingress"}}[{w}]))',
        50,
        "deliveries of providers are taken without 5xx",
    ),
    (
        "sync-success",
        98,
        'sum(rate(sync_runs_total{{status="error"}}[{w}]))',
        "sum(rate(sync_runs_total[{w}]))",
        5,
        "synchronisation runs succeed",
    ),
    (
        "sync-duration",
        95,
        'sum(rate(sync_duration_seconds_count[{w}])) - sum(rate(sync_duration_seconds_bucket{{le=~"30(\\\\.0)?"}}[{w}]))',
        "sum(rate(sync_duration_seconds_count[{w}]))",
        5,
        "synchronisation runs take less than 30 s",
    ),
    (
        "freshness",
        95,
        "sum(rate(change_to_database_seconds_count[{w}])) - "
        'sum(rate(change_to_database_seconds_bucket{{le=~"60(\\\\.0)?"}}[{w}]))',
        "sum(rate(change_to_database_seconds_count[{w}]))",
        5,
        "rounds commit their newest change within 60 s of the provider's time",
    ),
]
SECONDS = {"m": 60, "h": 3600, "d": 86400}


def seconds(window):
    return int(window[:-1]) * SECONDS[window[-1]]


def alert_name(slo):
    return "".join(part.capitalize() for part in slo.split("-")) + "BudgetBurn"


def slo_rules():
    out = [
        "# Written by deploy/prometheus/generate.py; do not edit by hand.",
        "groups:",
    ]
    for name, objective, bad, total, least, says in SLOS:
        out += [f"  - name: slo-{name}", "    rules:"]
        for w in WINDOWS:
            # 0 bad events have no series: `or` keeps the ratio at 0 instead of unknown
            out += [
                f"      - record: slo:sli_error:ratio_rate{w}",
                "        expr: >-",
                f"          (({bad.format(w=w)}) or 0 * {total.format(w=w)})",
                f"          / ({total.format(w=w)} > 0)",
                f"        labels: {{slo: {name}}}",
            ]
        out += [
            "      - record: slo:objective:ratio",
            f"        expr: vector({objective / 100:g})",
            f"        labels: {{slo: {name}}}",
        ]
        budget = round(1 - objective / 100, 6)
        for severity, burn, long, short, wait, spent in ALERTS:
            limit = f"{burn:g} * {budget:g}"
            rate = f"{least / seconds(long):.6g}"
            out += [
                f"      - alert: {alert_name(name)}",
                "        expr: >-",
                f'          slo:sli_error:ratio_rate{long}{{slo="{name}"}} > {limit}',
                f'          and slo:sli_error:ratio_rate{short}{{slo="{name}"}} > {limit}',
                f"          and on () {total.format(w=long)} >= {rate}",
                f"        for: {wait}",
                f"        labels: {{severity: {severity}, team: sre, long: {long}, short: {short}}}",
                "        annotations:",
                f"          summary: '{name}: {{{{ $value | humanizePercentage }}}} bad in {long}, the budget burns {burn:g} times too fast'",
                f"          description: Objective, {objective:g} % of 30 days, {says}. {spent} of the budget is gone at this pace.",
                f"          runbook_url: {RUNBOOKS}/{alert_name(name)}.md",
            ]
    return "\n".join(out) + "\n"


def prometheus_rule(slo):
    out = [
        "# Written by deploy/prometheus/generate.py from deploy/prometheus/rules; do not edit by hand.",
        "apiVersion: monitoring.coreos.com/v1",
        "kind: PrometheusRule",
        "metadata:",
        "  name: syncline",
        "spec:",
        "  groups:",
    ]
    for path in sorted((HERE / "rules").glob("*.yml")):
        text = slo if path.name == "slo.yml" else path.read_text()
        body = text.split("groups:\n", 1)[1]
        out += [f"  {line}" if line else "" for line in body.rstrip("\n").split("\n")]
    return "\n".join(out) + "\n"


def main():
    slo = slo_rules()
    files = {HERE / "rules" / "slo.yml": slo}
    if not (HERE / "rules" / "slo.yml").exists():
        (HERE / "rules" / "slo.yml").write_text(slo)
    files[ROOT / "k8s/components/prometheus-operator/rules.yaml"] = prometheus_rule(slo)
    stale = []
    for path, text in files.items():
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                stale.append(str(path.relative_to(ROOT)))
        else:
            path.write_text(text)
    for name in stale:
        print(f"{name} is stale: deploy/prometheus/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
