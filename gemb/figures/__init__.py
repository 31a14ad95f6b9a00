"""Tables and plots, drawn from records alone."""

from gemb.figures.shown import Shown, percent, picture, table
from gemb.figures.single_task import (
    controls_table,
    cost_table,
    data_table,
    findings,
    gap_table,
    main_frame,
    main_table,
    others_table,
    provenance_table,
    small_gap,
    splits_table,
    subsets_table,
    summary,
)
from gemb.figures.single_task_plots import (
    accuracy_chart,
    confusions,
    curves,
    examples_table,
    gallery,
    worst,
)

__all__ = [
    "Shown",
    "accuracy_chart",
    "confusions",
    "controls_table",
    "cost_table",
    "curves",
    "data_table",
    "examples_table",
    "findings",
    "gallery",
    "gap_table",
    "main_frame",
    "main_table",
    "others_table",
    "percent",
    "picture",
    "provenance_table",
    "small_gap",
    "splits_table",
    "subsets_table",
    "summary",
    "table",
    "worst",
]
