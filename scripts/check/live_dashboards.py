#!/usr/bin/env python3
"""Asks a live Prometheus every query of every dashboard.

    scripts/check/live_dashboards.py http://127.0.0.1:9090

Let it scrape a stack with some traffic for a few minutes first. Prints the queries without data; exit code 1 when one is refused, or when more than those in MAY_BE_EMPTY have none.
"""

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

BOARDS = Path(__file__).resolve().parents[2] / "deploy/grafana/dashboards"
# Of exporters that a development stack does not run, and of events that a healthy young stack has not had yet.
MAY_BE_EMPTY = re.compile(
    r"rabbitmq_|pg_|panicked|crash_looped|unroutable|interrupted|bells_died|broker_dead|bells_lost|lease_lost|reaped|"
    r"stale_write|connect_failures|consumer_rebuilt|throttled|fence_degraded|quarantined|round_restarts|dependency_up == 0|"
    r'build_info offset|status=~"[45]|ALERTS|publish_(refused|returned|unknown)|sync_consecutive|change_to_database|freshness|'
    r"slo:sli_error|cache_requests|jobs_unexplained|schedule_occurrences|kind:jobs_(pending|running|dead):max\{"
)


def ask(server, expr):
    url = f"{server}/api/v1/query?" + urllib.parse.urlencode({"query": expr})
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]["result"], None
    except urllib.error.HTTPError as error:
        return [], json.load(error).get("error", str(error))


def main():
    server = sys.argv[1].rstrip("/")
    total, empty, bad = 0, 0, []
    for path in sorted(BOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                expr = re.sub(r"\$(?!__)\w+", ".*", target["expr"].replace("$__rate_interval", "5m"))
                result, error = ask(server, expr)
                total += 1
                where = f"{path.name}: {panel['title']}: {target['expr']}"
                if error:
                    bad.append(f"refused: {where}: {error}")
                elif not result:
                    empty += 1
                    if MAY_BE_EMPTY.search(expr):
                        print(f"no data, may be: {where}")
                    else:
                        bad.append(f"no data: {where}")
    print(f"{total} queries, {total - empty} with data, {len(bad)} faults")
    for text in bad:
        print(text, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
