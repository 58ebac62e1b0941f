#!/usr/bin/env python3
"""Draws the panels of the Grafana dashboard from what a Prometheus has recorded.

    python3 -m venv var/venv && var/venv/bin/pip install matplotlib
    var/venv/bin/python scripts/dashboard-picture.py http://127.0.0.1:9090 10m docs/images/dashboard.png

For where Grafana cannot run. The expressions, titles and labels are those of
docker/grafana/dashboards/sale.json, so the picture shows what the dashboard would.
"""

import json
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates
import matplotlib.pyplot as plt
from datetime import datetime, timezone

DASHBOARD = pathlib.Path(__file__).parent.parent / "docker/grafana/dashboards/sale.json"
SECONDS = {"s": 1, "m": 60, "h": 3600}
UNITS = {"s": "seconds", "ops": "per second", "reqps": "per second", "percentunit": "part", "short": ""}


def query(prometheus, expression, start, end):
    step = max(1, (end - start) // 300)
    given = {"query": expression, "start": start, "end": end, "step": step}
    url = f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(given)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def legend(template, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


def draw(axes, panel, prometheus, start, end):
    axes.set_title(panel["title"], fontsize=9, loc="left", fontweight="bold")
    last = None
    for target in panel["targets"]:
        for series in query(prometheus, target["expr"], start, end):
            points = [(float(at), float(value)) for at, value in series["values"]]
            points = [(at, value) for at, value in points if value == value]
            if not points:
                continue
            last = points[-1][1]
            times = [datetime.fromtimestamp(at, timezone.utc) for at, _ in points]
            name = legend(target["legendFormat"], series["metric"])
            axes.plot(times, [value for _, value in points], linewidth=1.2, label=name)
    if panel["type"] == "stat" and last is not None:
        axes.text(0.5, 0.5, f"{last:.4g}", transform=axes.transAxes, ha="center", va="center",
                  fontsize=22, fontweight="bold", alpha=0.85)
    elif last is None:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color="grey")
    else:
        axes.legend(fontsize=6, loc="upper left", framealpha=0.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(UNITS[panel["fieldConfig"]["defaults"]["unit"]], fontsize=7)
    axes.tick_params(labelsize=6)
    axes.set_xlim(datetime.fromtimestamp(start, timezone.utc), datetime.fromtimestamp(end, timezone.utc))
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
    axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(maxticks=5))
    axes.grid(alpha=0.25)


def main(prometheus, back, path):
    end = int(time.time())
    start = end - int(back[:-1]) * SECONDS[back[-1]]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    bottom = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)
    figure = plt.figure(figsize=(16, bottom * 0.32))
    for panel in panels:
        place = panel["gridPos"]
        top = 1 - place["y"] / bottom
        if panel["type"] == "row":
            figure.text(0.012, top - 0.012, panel["title"], fontsize=12, fontweight="bold")
            continue
        axes = figure.add_axes((place["x"] / 24 + 0.03, top - place["h"] / bottom + 0.022,
                                place["w"] / 24 - 0.045, place["h"] / bottom - 0.045))
        draw(axes, panel, prometheus, start, end)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
