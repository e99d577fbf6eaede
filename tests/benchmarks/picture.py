"""The picture of the README: our time beside the floor's and the vendor's, job by job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

COLOURS = {"floor": "#b8b8b8", "ours": "#2a6fbb", "vendor": "#d9822b"}
LABELS = {"floor": "bare aiohttp + msgspec", "ours": "syllable_async", "vendor": "the vendor's SDK"}


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Time of each job as a multiple of ours, on a logarithmic axis: CPU where it was measured for a call."""
    import_module("matplotlib").use("svg")
    plt: Any = import_module("matplotlib.pyplot")
    plt.rcParams.update({"svg.hashsalt": "syllable_async", "svg.fonttype": "none"})  # the same figures, the same file
    shown = [row for row in rows if "vendor" in row["figures"]][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.62 * len(shown) + 1))
    for offset, name in ((0.26, "floor"), (0, "ours"), (-0.26, "vendor")):
        places = [place + offset for place, row in enumerate(shown) if name in row["figures"]]
        widths = [relative(row, name) for row in shown if name in row["figures"]]
        bars = axes.barh(places, widths, height=0.24, color=COLOURS[name], label=LABELS[name])
        axes.bar_label(bars, fmt="%.2g", padding=3, fontsize=8)
    axes.set_yticks(range(len(shown)), [row["job"].partition(" (")[0] for row in shown])
    axes.set_xscale("log")
    axes.set_xlabel("times ours")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    figure.legend(*axes.get_legend_handles_labels(), loc="upper center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def relative(row: Mapping[str, Any], name: str) -> float:
    figures = row["figures"]
    figure = next((ratio["figure"] for ratio in row["ratios"]), "cpu")
    return float(figures[name][figure] / figures["ours"][figure])
