#!/usr/bin/env python3
"""Draws every figure of this folder with matplotlib, from figures.json and NAME.csv.

    pip install matplotlib
    python3 figures.py                 all figures, as NAME.matplotlib.pdf
    python3 figures.py cdf regions     these ones

Change what you like: each mark of a figure is drawn by one function below.
"""

import csv
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
plt.rcParams.update({"font.size": 8, "pdf.fonttype": 42, "axes.grid": True, "grid.alpha": 0.3})


def number(text):
    return float(text) if text else None


def rows(name):
    """The points of a figure, by panel and mark."""
    marks = defaultdict(list)
    with open(HERE / f"{name}.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (int(row["panel"]), int(row["mark"]), row["series"], row["form"])
            point = {column: number(row[column]) for column in
                     ("x", "y", "x_low", "x_high", "y_low", "y_high", "value")}
            marks[key].append(point | {"label": row["label"]})
    return marks


def errors(points, axis):
    """The lengths of the arms of error bars, or nothing where no point has an interval."""
    arms = [(0.0, 0.0) if it[f"{axis}_low"] is None else
            (it[axis] - it[f"{axis}_low"], it[f"{axis}_high"] - it[axis]) for it in points]
    return list(zip(*arms)) if any(low or high for low, high in arms) else None


def draw(axes, form, points, style):
    xs, ys = [it["x"] for it in points], [it["y"] for it in points]
    colour = style["colour"]
    dashes = [float(it) for it in style["dashes"].split()]
    line = {"color": colour, "dashes": dashes} if dashes else {"color": colour}
    if form == "line":
        marker = style["marker"] if len(points) <= 24 else None
        axes.plot(xs, ys, marker=marker, markersize=3.5, **line)
        banded = [it for it in points if it["y_low"] is not None]
        axes.fill_between([it["x"] for it in banded], [it["y_low"] for it in banded],
                          [it["y_high"] for it in banded], color=colour, alpha=0.15, linewidth=0)
    elif form == "outline":
        axes.plot(xs, ys, linewidth=0.6, **line)
    elif form == "steps":
        axes.step(xs, ys, where="post", **line)
    elif form == "dots":
        axes.errorbar(xs, ys, xerr=errors(points, "x"), yerr=errors(points, "y"), fmt=style["marker"],
                      color=colour, markersize=4, capsize=2, linestyle="none")
    elif form == "bars":
        axes.barh(ys, [it["x_high"] - it["x_low"] for it in points], left=[it["x_low"] for it in points],
                  height=0.5, color=colour)
    elif form == "ticks":
        axes.plot(xs, ys, marker="|", markersize=11, linestyle="none", color=colour)
    elif form == "cells":
        for it in points:
            axes.add_patch(plt.Rectangle((it["x_low"], it["y_low"]), it["x_high"] - it["x_low"],
                                         it["y_high"] - it["y_low"],
                                         color=plt.cm.viridis_r(it["value"])))
    elif form == "upright":
        for x in xs:
            axes.axvline(x, color="0.5", linestyle="--", linewidth=0.8)
    elif form == "level":
        for y in ys:
            axes.axhline(y, color="0.5", linestyle="--", linewidth=0.8)
    elif form == "shade":
        for it in points:
            axes.axvspan(it["x_low"], it["x_high"], color="0.5", alpha=0.18, linewidth=0)
    elif form == "text":
        for it in points:
            axes.annotate(it["label"], (it["x"], it["y"]), xytext=(4, 3), textcoords="offset points")


def scale(axes, name, axis):
    setter = getattr(axes, f"set_{name}label")
    setter(axis["label"])
    kind = axis["scale"]
    if kind in ("Log", "Nines"):
        getattr(axes, f"set_{name}scale")("log")
    if kind == "Nines":
        formatter = matplotlib.ticker.FuncFormatter(lambda value, _: f"{100 * (1 - 1 / value):.6g}")
        getattr(axes, f"{name}axis").set_major_formatter(formatter)
    if kind == "Bare":
        getattr(axes, f"set_{name}ticks")([])
    if isinstance(kind, dict):
        names = kind["Names"]
        getattr(axes, f"set_{name}ticks")(range(1, len(names) + 1), names)
        getattr(axes, f"set_{name}lim")(0.4, len(names) + 0.6)
    if axis["range"]:
        getattr(axes, f"set_{name}lim")(*axis["range"])


def figure(described):
    panels = described["panels"]
    styles = {it["series"]: it for it in described["styles"]}
    plain = {"colour": "#1f2328", "dashes": "", "marker": "o", "in_legend": False}
    columns = min(2, len(panels))
    heights = [max(it["height"] for it in panels[start:start + columns])
               for start in range(0, len(panels), columns)]
    drawn, grid = plt.subplots(len(heights), columns, squeeze=False, layout="constrained",
                               figsize=(4.4 * columns, sum(heights) / 100),
                               gridspec_kw={"height_ratios": heights})
    marks = rows(described["name"])
    for number_, panel in enumerate(panels, start=1):
        axes = grid[(number_ - 1) // columns][(number_ - 1) % columns]
        axes.set_title(panel["title"])
        for (of, _, series, form), points in marks.items():
            if of == number_:
                draw(axes, form, points, styles.get(series, plain))
        scale(axes, "x", panel["x"])
        scale(axes, "y", panel["y"])
    for spare in range(len(panels), len(heights) * columns):
        grid[spare // columns][spare % columns].set_visible(False)
    told = [it for it in described["styles"] if it["in_legend"]]
    if len(told) > 1:
        handles = [plt.Line2D([], [], color=it["colour"], marker=it["marker"], markersize=4, label=it["series"])
                   for it in told]
        drawn.legend(handles=handles, loc="outside upper left", ncols=math.ceil(len(handles) / 2))
    path = HERE / f"{described['name']}.matplotlib.pdf"
    drawn.savefig(path)
    plt.close(drawn)
    print(path.name)


def main():
    described = json.loads((HERE / "figures.json").read_text(encoding="utf-8"))["figures"]
    wanted = sys.argv[1:]
    unknown = set(wanted) - {it["name"] for it in described}
    if unknown:
        sys.exit(f"figures.py: no figure {', '.join(sorted(unknown))}; there are "
                 + ", ".join(it["name"] for it in described))
    for it in described:
        if not wanted or it["name"] in wanted:
            figure(it)


if __name__ == "__main__":
    main()
