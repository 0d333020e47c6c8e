"""Panels, rows, variables and boards as Grafana's JSON; see generate.py."""

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
TAG = "syncline"


def target(expr, legend, index):
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expr,
        "legendFormat": legend,
        "range": True,
        "refId": chr(ord("A") + index),
    }


def panel(kind, title, description, unit, *queries, width=8, height=8, thresholds=None, maximum=None, mappings=None):
    """One panel; `queries` are (expression, legend), `thresholds` [(from, colour)]."""
    steps = [{"color": "green", "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in thresholds or []]
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "mappings": mappings or []}
    if unit in ("percentunit",):
        defaults["min"] = 0
    if maximum is not None:
        defaults["max"] = maximum
    if kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 10,
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if thresholds else "off"},
        }
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif kind == "stat":
        defaults["color"] = {"mode": "thresholds"}
        options = {
            "colorMode": "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
        }
    elif kind == "bargauge":
        defaults["color"] = {"mode": "thresholds"}
        options = {
            "displayMode": "basic",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    else:
        raise ValueError(kind)
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [target(expr, legend, i) for i, (expr, legend) in enumerate(queries)],
        "size": (width, height),
    }


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "size": (WIDTH, 1)}


def variable(name, label, metric, of):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": PROMETHEUS,
        "query": {"query": f"label_values({metric}, {of})", "refId": name},
        "definition": f"label_values({metric}, {of})",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def dashboard(uid, title, description, panels, variables=(), links=()):
    placed, x, y, tall = [], 0, 0, 0
    for number, item in enumerate(panels, 1):
        width, height = item.pop("size")
        if x + width > WIDTH or item["type"] == "row":
            x, y, tall = 0, y + tall, 0
        item["id"] = number
        item["gridPos"] = {"x": x, "y": y, "w": width, "h": height}
        x, tall = x + width, max(tall, height)
        if item["type"] == "row":
            x, y, tall = 0, y + height, 0
        placed.append(item)
    datasource = {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "refresh": 1,
        "regex": "",
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "links": [
            {"type": "dashboards", "tags": [TAG], "title": "Syncline", "asDropdown": True, "keepTime": True},
            *[{"type": "link", "title": text, "url": url, "targetBlank": True} for text, url in links],
        ],
        "templating": {"list": [datasource, *variables]},
        "annotations": {
            "list": [
                {
                    "name": "Releases",
                    "datasource": PROMETHEUS,
                    "enable": True,
                    "iconColor": "blue",
                    "expr": "count by (version, revision) (build_info) unless count by (version, revision) (build_info offset 2m)",
                    "titleFormat": "{{version}} {{revision}}",
                }
            ]
        },
        "panels": placed,
    }


def p95(metric, by, where="", of=0.95):
    return f"histogram_quantile({of}, sum by (le, {by}) (rate({metric}_bucket{where}[$__rate_interval])))"


def share(part, whole, by=""):
    """part / whole; what has never happened has no series, and is a share of 0."""
    total = f"sum{by}(rate({whole}[$__rate_interval]))"
    return f"(sum{by}(rate({part}[$__rate_interval])) or 0 * {total}) / {total}"
