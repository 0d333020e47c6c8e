#!/usr/bin/env python3
"""Writes dashboards/*.json from the panels below.

    deploy/grafana/generate.py            writes
    deploy/grafana/generate.py --check    exit code 1 when a committed file differs

Every panel has a title, a description (what it shows, and when to worry), a unit, and the data source of the
variable `datasource`; counters stand under rate() or increase() alone. scripts/check/observability.py checks the
queries and that each metric exists.
"""

import json
import sys
from pathlib import Path

from kit import dashboard, p95, panel, row, share, variable

HERE = Path(__file__).resolve().parent

BREAKER = [
    {
        "type": "value",
        "options": {
            "0": {"text": "closed", "color": "green"},
            "1": {"text": "half-open", "color": "orange"},
            "2": {"text": "open", "color": "red"},
        },
    }
]
UP = [{"type": "value", "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}}]

SLOS = [
    ("api-availability", "API availability", 0.995),
    ("webhook-availability", "Webhook availability", 0.995),
    ("sync-success", "Sync success", 0.98),
    ("sync-duration", "Sync below 30 s", 0.95),
    ("freshness", "Changes within 60 s", 0.95),
]


def overview():
    panels = [row("Objectives (30 days)")]
    for slo, title, objective in SLOS:
        panels.append(
            panel(
                "stat",
                title,
                f"Share of good events in the last 3 days; the objective is {objective:.1%} of 30 days.",
                "percentunit",
                (f'1 - slo:sli_error:ratio_rate3d{{slo="{slo}"}}', title),
                width=4,
                height=5,
                maximum=1,
                # below the objective it is red
                thresholds=None,
            )
        )
        panels[-1]["fieldConfig"]["defaults"]["thresholds"]["steps"] = [
            {"color": "red", "value": None},
            {"color": "green", "value": objective},
        ]
    panels.append(
        panel(
            "stat",
            "API p95",
            "Time within which 95 % of the requests are answered; the objective is 200 ms.",
            "s",
            ('job:api_request_duration_seconds:p95_5m{job="api"}', "p95"),
            width=4,
            height=5,
            thresholds=[(0.2, "red")],
        )
    )
    panels += [
        panel(
            "timeseries",
            "Burn rate, 1 h",
            "How many times faster than allowed the error budget is used up. Above 14.4 somebody is paged.",
            "none",
            (
                "slo:sli_error:ratio_rate1h / on (slo) (1 - slo:objective:ratio)",
                "{{slo}}",
            ),
            width=12,
            thresholds=[(14.4, "red")],
        ),
        panel(
            "timeseries",
            "Alerts firing",
            "By name and severity; Watchdog is left out.",
            "none",
            ('count by (alertname, severity) (ALERTS{alertstate="firing", alertname!="Watchdog"})', "{{alertname}}"),
            width=12,
        ),
        row("Now"),
        panel(
            "stat",
            "Processes",
            "Processes of each service that answer Prometheus.",
            "none",
            ('sum by (job) (up{job=~"api|webhook-ingress|scheduler|graph-connector|gcal-connector|sync-worker|audit-retention"})', "{{job}}"),
            width=8,
            height=6,
        ),
        panel(
            "bargauge",
            "Dependencies that are down",
            "Pairs of service and dependency that do not answer each other; empty is good.",
            "none",
            ("count by (job, dependency) (dependency_up == 0)", "{{job}} to {{dependency}}"),
            width=8,
            height=6,
            thresholds=[(1, "red")],
        ),
        panel(
            "stat",
            "Circuit breakers",
            "Closed lets calls pass, open makes none for a minute, half-open tries one.",
            "none",
            ("service:circuit_breaker_state:max", "{{service}}"),
            width=8,
            height=6,
            mappings=BREAKER,
        ),
        panel(
            "timeseries",
            "Jobs",
            "Waiting, running and dead, of all kinds. More than 1,000 waiting for 10 minutes is an alert.",
            "short",
            ("sum(kind:jobs_pending:max) or vector(0)", "waiting"),
            ("sum(kind:jobs_running:max) or vector(0)", "running"),
            ("sum(kind:jobs_dead:max) or vector(0)", "dead letters"),
            thresholds=[(1000, "red")],
        ),
        panel(
            "timeseries",
            "Sync runs",
            "Runs that ended, by source and status.",
            "opm",
            ("sum by (source, status) (rate(sync_runs_total[$__rate_interval])) * 60", "{{source}} {{status}}"),
        ),
        panel(
            "timeseries",
            "Change to database, p95",
            "From the newest change of a round, as the provider dates it, to its commit.",
            "s",
            (p95("change_to_database_seconds", "source"), "{{source}}"),
            thresholds=[(60, "red")],
        ),
    ]
    return dashboard("syncline-overview", "Syncline / Overview", "Objectives, alerts and the state of everything.", panels)


def service():
    where = '{job=~"$job"}'
    panels = [
        row("Process"),
        panel("timeseries", "Up", "Whether the admin port answers Prometheus.", "none", ("up" + where, "{{job}} {{instance}}"), mappings=UP),
        panel(
            "timeseries",
            "Resident memory",
            "Below 20 MiB when idle, 38 MiB at the worker's peak are measured; 100 MiB for 10 minutes is an alert.",
            "bytes",
            ("process_resident_memory_bytes" + where, "{{job}} {{instance}}"),
            thresholds=[(104857600, "red")],
        ),
        panel(
            "stat",
            "Builds",
            "Versions that run. More than one of a service: a rollout is under way, or stuck.",
            "none",
            (f"count by (job, version, revision) (build_info{where})", "{{job}} {{version}} {{revision}}"),
        ),
        panel(
            "timeseries",
            "Dependencies",
            "1 while the dependency answers this process.",
            "none",
            (f"min by (job, dependency) (dependency_up{where})", "{{job}} to {{dependency}}"),
            width=12,
            mappings=UP,
        ),
        panel(
            "timeseries",
            "Panics",
            "Background tasks that panicked. Any is a fault of the program.",
            "short",
            (f"sum by (job, task) (increase(tasks_panicked_total{where}[$__rate_interval]))", "{{job}} {{task}}"),
            width=12,
        ),
        row("gRPC served"),
        panel(
            "timeseries",
            "Calls",
            "By method and status code.",
            "reqps",
            (
                f"sum by (job, method, code) (rate(grpc_server_duration_seconds_count{where}[$__rate_interval]))",
                "{{job}} {{method}} {{code}}",
            ),
            width=12,
        ),
        panel(
            "timeseries",
            "Duration, p95",
            "Time until a call was answered; waiting for the provider is part of it.",
            "s",
            (p95("grpc_server_duration_seconds", "job, method", where), "{{job}} {{method}}"),
            width=12,
        ),
        row("Broker"),
        panel(
            "timeseries",
            "Blocked",
            "1 while RabbitMQ blocks the connection (memory or disk alarm).",
            "none",
            (f"max by (job, connection) (broker_blocked{where})", "{{job}} {{connection}}"),
        ),
        panel(
            "timeseries",
            "Connections made",
            "More than one per process is a rebuild after a fault.",
            "short",
            (f"sum by (job, connection) (increase(broker_connections_total{where}[$__rate_interval]))", "{{job}} {{connection}}"),
            (f"sum by (job, connection) (increase(broker_connect_failures_total{where}[$__rate_interval]))", "{{job}} {{connection}} failed"),
        ),
        panel(
            "timeseries",
            "Consumers built anew",
            "By queue and cause. A few follow every restart of the broker.",
            "short",
            (f"sum by (job, queue, cause) (increase(consumer_rebuilt_total{where}[$__rate_interval]))", "{{job}} {{queue}} {{cause}}"),
        ),
    ]
    return dashboard(
        "syncline-service",
        "Syncline / Services",
        "One service or several: process, dependencies, gRPC, broker.",
        panels,
        variables=[variable("job", "Service", "build_info", "job")],
    )


def jobs():
    kind = '{kind=~"$kind"}'
    panels = [
        row("Backlog"),
        panel("timeseries", "Waiting", "Queued jobs by kind, in the ledger.", "short", ("kind:jobs_pending:max" + kind, "{{kind}}"), thresholds=[(1000, "red")]),
        panel("timeseries", "Running", "Jobs that hold a lease, by kind.", "short", ("kind:jobs_running:max" + kind, "{{kind}}")),
        panel(
            "timeseries",
            "Oldest waiting",
            "Age of the oldest queued job. More than 5 minutes for 5 minutes is a page.",
            "s",
            ("max(jobs_oldest_ready_age_seconds)", "oldest"),
            thresholds=[(300, "red")],
        ),
        row("Dead letters"),
        panel("timeseries", "Dead letters", "Jobs that used up their attempts, by kind. More than 100 is an alert.", "short", ("kind:jobs_dead:max" + kind, "{{kind}}"), thresholds=[(100, "red")]),
        panel(
            "timeseries",
            "Given up by the broker",
            "Messages that nobody could claim, by what followed for the job.",
            "short",
            ("sum by (followed) (increase(bells_died_total[$__rate_interval]))", "{{followed}}"),
            ("sum by (reason) (increase(broker_dead_letters_total[$__rate_interval]))", "archived: {{reason}}"),
        ),
        panel(
            "timeseries",
            "Buried, parked, interrupted",
            "Crash loops, kinds without a queue, and attempts that ended without the handler's word.",
            "short",
            (f"sum by (kind) (increase(jobs_crash_looped_total{kind}[$__rate_interval]))", "crash loop {{kind}}"),
            ("sum(increase(jobs_unroutable_total[$__rate_interval]))", "unroutable"),
            ("sum by (cause) (increase(jobs_interrupted_total[$__rate_interval]))", "interrupted: {{cause}}"),
        ),
        row("Work"),
        panel(
            "timeseries",
            "Attempts",
            "Ended attempts by kind and outcome.",
            "ops",
            (f"sum by (kind, outcome) (rate(job_duration_seconds_count{kind}[$__rate_interval]))", "{{kind}} {{outcome}}"),
            width=12,
        ),
        panel("timeseries", "Attempt duration, p95", "Time of one attempt, by kind.", "s", (p95("job_duration_seconds", "kind", kind), "{{kind}}"), width=12),
        panel("timeseries", "Wait, p95", "From a job being queued to its claim.", "s", (p95("job_queue_wait_seconds", "kind", kind), "{{kind}}")),
        panel("timeseries", "Busy slots", "Jobs that each worker runs now; WORKER_CONCURRENCY (8) is the limit.", "short", ("worker_jobs_active", "{{instance}}")),
        panel(
            "timeseries",
            "Leases",
            "Leases lost, jobs taken back, writes refused by the fence. Each is harmless alone; many say that workers or database are too slow.",
            "short",
            ("sum(increase(lease_lost_total[$__rate_interval]))", "lost"),
            ("sum by (kind) (increase(jobs_reaped_total[$__rate_interval]))", "taken back {{kind}}"),
            ("sum(increase(stale_write_rejected_total[$__rate_interval]))", "writes refused"),
        ),
        row("Relay and broker"),
        panel(
            "timeseries",
            "Outbox",
            "Age of the oldest bell that RabbitMQ has not confirmed. More than a minute is a page.",
            "s",
            ("max(outbox_unpublished_age_seconds)", "oldest"),
            thresholds=[(60, "red")],
        ),
        panel(
            "timeseries",
            "Bells ready and their window",
            "The relay keeps no more ready than the workers take in about a second.",
            "short",
            ("max by (queue) (bells_ready)", "{{queue}} ready"),
            ("max by (queue) (bells_window)", "{{queue}} window"),
        ),
        panel(
            "timeseries",
            "Publishing",
            "Confirmed, refused, returned (no queue took it), unknown (no confirm came).",
            "ops",
            ("sum by (job) (rate(publish_confirmed_total[$__rate_interval]))", "{{job}} confirmed"),
            ("sum by (job) (rate(publish_refused_total[$__rate_interval]))", "{{job}} refused"),
            ("sum by (job) (rate(publish_returned_total[$__rate_interval]))", "{{job}} returned"),
            ("sum by (job) (rate(publish_unknown_total[$__rate_interval]))", "{{job}} unknown"),
        ),
        panel(
            "timeseries",
            "Lost and rung again",
            "Queued jobs whose message the broker does not hold, and those that were rung again.",
            "short",
            ("max by (queue) (jobs_unexplained)", "{{queue}} unexplained"),
            ("sum by (queue) (increase(bells_lost_total[$__rate_interval]))", "{{queue}} rung again"),
        ),
        panel(
            "timeseries",
            "Queues of RabbitMQ",
            "Messages ready and in work, as RabbitMQ says.",
            "short",
            ('max by (queue) (rabbitmq_detailed_queue_messages{queue=~"jobs.*"})', "{{queue}}"),
        ),
        panel(
            "timeseries",
            "Schedules",
            "Occurrences decided, by schedule and result.",
            "short",
            ("sum by (schedule, result) (increase(schedule_occurrences_total[$__rate_interval]))", "{{schedule}} {{result}}"),
        ),
    ]
    return dashboard(
        "syncline-jobs",
        "Syncline / Jobs and dead letters",
        "The ledger, the relay, the workers, and what failed.",
        panels,
        variables=[variable("kind", "Kind", "jobs_pending", "kind")],
    )


def providers():
    panels = [
        row("Microsoft Graph"),
        panel(
            "timeseries",
            "Calls",
            "By operation and status. 429 and 503 with Retry-After are followed by silence.",
            "reqps",
            ("sum by (operation, status) (rate(graph_requests_total[$__rate_interval]))", "{{operation}} {{status}}"),
            width=12,
        ),
        panel(
            "timeseries",
            "Share of failed calls",
            "Answers of 500 and above, timeouts, broken connections. More than 5 % for 5 minutes is an alert.",
            "percentunit",
            (
                share('graph_requests_total{status=~"5..|timeout|transport"}', "graph_requests_total"),
                "failed",
            ),
            width=12,
            thresholds=[(0.05, "red")],
        ),
        panel(
            "timeseries",
            "Asked for silence",
            "Answers with Retry-After in the last hour. More than 10 is an alert.",
            "short",
            ("provider:throttled:increase1h", "{{provider}}"),
            thresholds=[(10, "red")],
        ),
        panel("timeseries", "Circuit breaker", "0 closed, 1 half-open, 2 open; the worst of all replicas.", "none", ("service:circuit_breaker_state:max", "{{service}}"), mappings=BREAKER, maximum=2),
        panel(
            "timeseries",
            "Fence without Redis",
            "Questions to the throttle fence that were answered without its shared store.",
            "short",
            ("sum(increase(throttle_fence_degraded_total[$__rate_interval]))", "degraded"),
        ),
        row("Cache"),
        panel(
            "timeseries",
            "Hit rate",
            "Share of cache reads that hit; the weekly review asks for 60 %.",
            "percentunit",
            (share('cache_requests_total{result="hit"}', "cache_requests_total"), "hit rate"),
            width=12,
            maximum=1,
        ),
        panel("timeseries", "Reads", "Cache reads by result.", "reqps", ("sum by (result) (rate(cache_requests_total[$__rate_interval]))", "{{result}}"), width=12),
        row("Notifications"),
        panel(
            "timeseries",
            "Notifications",
            "By source and result. Refused and malformed ones are nobody's business but an attacker's or a lost secret's.",
            "reqps",
            ("sum by (source, result) (rate(webhook_notifications_total[$__rate_interval]))", "{{source}} {{result}}"),
        ),
        panel("timeseries", "Acknowledged after, p95", "Milliseconds are normal; a provider gives up after 10 s.", "s", (p95("webhook_ack_duration_seconds", "source"), "{{source}}"), thresholds=[(1, "red")]),
        panel(
            "timeseries",
            "Subscription ends in",
            "The one that was ensured last. Less than a day is an alert.",
            "s",
            ("max by (provider) (webhook_subscription_expiry_timestamp_seconds) - time()", "{{provider}}"),
        ),
        row("Spool and secrets"),
        panel(
            "timeseries",
            "Spool of notifications",
            "Deliveries that wait on disk while the database is away.",
            "short",
            ("sum by (instance) (webhook_spool_entries)", "{{instance}}"),
        ),
        panel(
            "timeseries",
            "Oldest in the spool",
            "More than five minutes is a page.",
            "s",
            ("max by (instance) (webhook_spool_oldest_seconds)", "{{instance}}"),
            thresholds=[(300, "red")],
        ),
        panel(
            "timeseries",
            "Switches away from normal",
            "In how many organizations an operators' switch holds something back.",
            "short",
            ("max by (flag) (flag_active)", "{{flag}}"),
        ),
    ]
    return dashboard("syncline-providers", "Syncline / Providers and throttling", "Calls out, silence, breaker, cache, notifications in.", panels)


def documents():
    panels = [
        row("Runs"),
        panel(
            "timeseries",
            "Success rate",
            "Share of runs that succeeded; the objective is 98 %.",
            "percentunit",
            (share('sync_runs_total{status="success"}', "sync_runs_total", " by (source) "), "{{source}}"),
            maximum=1,
        ),
        panel(
            "timeseries",
            "Duration",
            "p50, p95 and p99 of a run. p95 above 60 s is an alert, the objective is 30 s.",
            "s",
            (p95("sync_duration_seconds", "source", of=0.5), "p50 {{source}}"),
            (p95("sync_duration_seconds", "source"), "p95 {{source}}"),
            (p95("sync_duration_seconds", "source", of=0.99), "p99 {{source}}"),
            thresholds=[(60, "red")],
        ),
        panel("timeseries", "Failures in a row", "Of the resource that ran last in each process. 3 are a page.", "short", ("max by (source) (sync_consecutive_failures)", "{{source}}"), thresholds=[(3, "red")]),
        row("Documents"),
        panel(
            "timeseries",
            "Documents written",
            "Added, updated, deleted. A wave of deletions is stopped by the mass-change breaker and waits for approval.",
            "ops",
            ("sum by (operation) (rate(documents_synced_total[$__rate_interval]))", "{{operation}}"),
            width=12,
        ),
        panel(
            "timeseries",
            "Change to database",
            "From the newest change of a round, as the provider dates it, to its commit.",
            "s",
            (p95("change_to_database_seconds", "source", of=0.5), "p50 {{source}}"),
            (p95("change_to_database_seconds", "source"), "p95 {{source}}"),
            width=12,
        ),
        panel("timeseries", "Rounds begun again", "Delta token gone, link refused, page lost. A few are normal, many mean that nothing gets finished.", "short", ("sum(increase(drive_round_restarts_total[$__rate_interval]))", "restarts"), width=12),
        panel("timeseries", "Quarantined", "Items that could not be read, by source.", "short", ("sum by (source) (increase(sync_quarantined_total[$__rate_interval]))", "{{source}}"), width=12),
    ]
    return dashboard("syncline-documents", "Syncline / Documents", "Synchronisation of drives: runs, documents, freshness.", panels)


MESSAGES = '{source=~"mail|channel|chat"}'


def messages():
    status = '{source=~"mail|channel|chat", status="%s"}'
    kinds = '{kind=~"messages.*|maintenance.ensure_subscription"}'
    panels = [
        row("Runs"),
        panel(
            "timeseries",
            "Runs",
            "Mailboxes, channels and chats that were read, by source and status.",
            "opm",
            (f"sum by (source, status) (rate(sync_runs_total{MESSAGES}[$__rate_interval])) * 60", "{{source}} {{status}}"),
        ),
        panel(
            "timeseries",
            "Good runs in two hours",
            "None of mail while there were some yesterday is an alert; channels and chats are read once a day.",
            "short",
            (f"sum by (source) (increase(sync_runs_total{status % 'success'}[2h]))", "{{source}}"),
        ),
        panel("timeseries", "Duration, p95", "Of a run, by source.", "s", (p95("sync_duration_seconds", "source", MESSAGES), "{{source}}"), thresholds=[(60, "red")]),
        row("Messages"),
        panel(
            "timeseries",
            "Messages written",
            "Into the table messages, by source.",
            "ops",
            (f"sum by (source) (rate(messages_synced_total{MESSAGES}[$__rate_interval]))", "{{source}}"),
        ),
        panel(
            "timeseries",
            "Change to database, p95",
            "From the newest message of a run, as the provider dates it, to its commit.",
            "s",
            (p95("change_to_database_seconds", "source", MESSAGES), "{{source}}"),
        ),
        panel(
            "timeseries",
            "Jobs",
            "Waiting and dead, of reading, sending and subscribing.",
            "short",
            (f"max by (kind) (jobs_pending{kinds})", "{{kind}} waiting"),
            (f"max by (kind) (jobs_dead{kinds})", "{{kind}} dead"),
        ),
    ]
    return dashboard("syncline-messages", "Syncline / Mail and Teams", "Mailboxes, channels, chats, and what is sent.", panels)


def audit():
    panels = [
        row("The trail"),
        panel(
            "timeseries",
            "Oldest record that is not sealed",
            "Seconds are normal; a quarter of an hour is an alert.",
            "s",
            ("max(audit_unsealed_age_seconds)", "oldest"),
            thresholds=[(900, "red")],
        ),
        panel(
            "timeseries",
            "Records sealed",
            "Into the chains of all organizations.",
            "ops",
            ("sum(rate(audit_records_sealed_total[$__rate_interval]))", "sealed"),
        ),
        panel(
            "timeseries",
            "Checkpoints",
            "Signed, and published in the archive store. One an hour and organization at least.",
            "short",
            ("sum(increase(audit_checkpoints_total[1h]))", "signed in an hour"),
            ("sum(increase(audit_checkpoints_published_total[1h])) or vector(0)", "published in an hour"),
        ),
        row("Retention"),
        panel(
            "timeseries",
            "Failed jobs",
            "Archiving, purging, verification or a restore that failed. Any is a page.",
            "short",
            ("sum(increase(retention_job_failures_total[1h]))", "failed in an hour"),
            thresholds=[(1, "red")],
            width=12,
        ),
        panel(
            "timeseries",
            "Archived and purged",
            "Archives that were written and read back, by store; records that left the database for them.",
            "short",
            ("sum by (store) (increase(audit_archives_total[1d])) or vector(0)", "archives in a day {{store}}"),
            ("sum(increase(audit_records_purged_total[1d])) or vector(0)", "records purged in a day"),
            width=12,
        ),
    ]
    return dashboard("syncline-audit", "Syncline / Audit trail", "Sealing, checkpoints, archives and purging.", panels)


def api_core():
    where = '{job=~"$job", path=~"$path"}'
    failed = '{job=~"$job", path=~"$path", status=~"5.."}'
    panels = [
        row("Latency and errors"),
        panel("timeseries", "Requests", "By service and status.", "reqps", (f"sum by (job, status) (rate(api_request_duration_seconds_count{where}[$__rate_interval]))", "{{job}} {{status}}")),
        panel("timeseries", "5xx by route", "What the alert api.5xx looks at. X-Trace-Id of an answer leads to its trace.", "reqps", (f"sum by (job, method, path, status) (rate(api_request_errors_total{failed}[$__rate_interval]))", "{{job}} {{method}} {{path}} {{status}}")),
        panel(
            "timeseries",
            "Share of 5xx",
            "Of all requests. More than 5 % for 10 minutes is a page.",
            "percentunit",
            (share(f"api_request_duration_seconds_count{failed}", f"api_request_duration_seconds_count{where}", " by (job) "), "{{job}}"),
            thresholds=[(0.05, "red")],
        ),
        panel(
            "timeseries",
            "Duration",
            "p50, p95, p99. p95 above 200 ms is the alert api.latency.",
            "s",
            (p95("api_request_duration_seconds", "job", where, of=0.5), "p50 {{job}}"),
            (p95("api_request_duration_seconds", "job", where), "p95 {{job}}"),
            (p95("api_request_duration_seconds", "job", where, of=0.99), "p99 {{job}}"),
            width=12,
            thresholds=[(0.2, "red")],
        ),
        panel("timeseries", "Duration by route, p95", "The slowest routes are the ones to look at first.", "s", (f"topk(10, {p95('api_request_duration_seconds', 'method, path', where)})", "{{method}} {{path}}"), width=12),
        panel("timeseries", "4xx by route", "Of callers: 401 and 403 are tokens and roles, 422 requests that do not fit, 429 the limit per user.", "reqps", ('sum by (method, path, status) (rate(api_request_errors_total{job=~"$job", path=~"$path", status=~"4.."}[$__rate_interval]))', "{{method}} {{path}} {{status}}"), width=12),
        panel("timeseries", "Busiest routes", "Requests by method and route, the ten with most.", "reqps", (f"topk(10, sum by (method, path) (rate(api_request_duration_seconds_count{where}[$__rate_interval])))", "{{method}} {{path}}"), width=12),
        row("PostgreSQL"),
        panel("timeseries", "Connections", "By state, beside the server's limit.", "short", ("sum by (state) (pg_stat_activity_count)", "{{state}}"), ("max(pg_settings_max_connections)", "limit")),
        panel("timeseries", "Longest transaction", "By state. A long one keeps dead rows alive; 15 minutes are an alert.", "s", ('max by (state) (pg_stat_activity_max_tx_duration{datname="syncline"})', "{{state}}"), thresholds=[(900, "red")]),
        panel("timeseries", "Deadlocks", "PostgreSQL ends one transaction of each; jobs try again.", "short", ('sum(increase(pg_stat_database_deadlocks{datname="syncline"}[$__rate_interval]))', "deadlocks")),
    ]
    return dashboard(
        "syncline-api-core",
        "API Core",
        "Latency and errors of the REST services by route; the board that the runbooks name.",
        panels,
        variables=[
            variable("job", "Service", "api_request_duration_seconds_count", "job"),
            variable("path", "Route", "api_request_duration_seconds_count", "path"),
        ],
    )


def main():
    stale = []
    for board in (overview(), service(), jobs(), providers(), documents(), messages(), audit(), api_core()):
        path = HERE / "dashboards" / (board["uid"].removeprefix("syncline-") + ".json")
        text = json.dumps(board, indent=2, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    for name in stale:
        print(f"deploy/grafana/dashboards/{name} is stale: deploy/grafana/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
