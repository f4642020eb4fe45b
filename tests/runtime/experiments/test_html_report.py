"""Plots for a light and for a dark ground."""

import re
from importlib.util import find_spec
from typing import Any

import pytest

from frontrunner.runtime.experiments.html_report import draw, drawn, line_style

pytestmark = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


def plot(axes: Any) -> None:
    """All that our plots use: lines with markers, bars of error, areas, texts, a legend."""
    for number in range(9):
        axes.plot([1, 10, 100], [number, 2, 3], label=f"line {number}", **line_style(number))
    axes.errorbar([1, 10], [1, 2], yerr=[[0.1, 0.2], [0.3, 0.4]], capsize=2, label="fill: none")
    axes.bar([1, 2], [3, 4], label="bars")
    axes.fill_between([1, 10, 100], [0, 1, 2], [1, 2, 3], alpha=0.2)
    axes.axhline(2, color="#999999", linewidth=0.8)
    axes.annotate("here", (10, 2))
    axes.set_xscale("log")
    axes.set_xlabel("seconds")
    axes.set_title("What is seen")
    axes.legend()


def with_numbered_ids(image: bytes) -> bytes:
    """Names of parts, which matplotlib makes of their colours, by the order they come in."""
    names = dict.fromkeys(re.findall(rb'id="([a-z]+[0-9a-f]{10})"', image))
    for number, name in enumerate(names):
        image = image.replace(name, b"part%d" % number)
    return image


def test_the_dark_image_is_what_would_be_drawn_in_its_colours() -> None:
    figure = draw(plot, "Title", "Caption")
    assert figure.light == drawn(plot, "Title", "#1a1a1a", "#d9d9d9")
    dark = drawn(plot, "Title", "#e8e8e8", "#3a3a3a")
    assert with_numbered_ids(figure.dark) == with_numbered_ids(dark)
    assert b"#1a1a1a" not in figure.dark
