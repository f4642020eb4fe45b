"""Plots of a profile, as one PNG file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.plotting import pyplot
from .engine_model import EngineModel, step_points
from .profile import Profile

_MARKS = "osD^vP*X"


def draw_surfaces(profile: Profile, models: Mapping[str, EngineModel], path: Path) -> None:
    """Step time over the batch for each context and K, tokens per second by method, and acceptance
    along the output; points are measured, lines are the model's.

    Raises:
        BadRequest: matplotlib is missing.
    """
    plt = pyplot()
    columns = len(models) + 1 + any(len(model.ks) > 1 for model in models.values())
    figure, axes = plt.subplots(1, columns, figsize=(6 * columns, 5), layout="constrained")
    for place, (method, model) in enumerate(models.items()):
        _steps(axes[place], profile, method, model)
    _speeds(axes[len(models)], profile, models)
    if columns > len(models) + 1:
        _acceptances(axes[-1], profile, models)
    kind = "modelled" if profile.modelled else "measured"
    figure.suptitle(f"{profile.model} on {profile.hardware} ({kind})", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _steps(axes: Any, profile: Profile, method: str, model: EngineModel) -> None:
    ks = [k for k in model.ks if k or method == "none"]
    variants = [v for v in profile.variants if v.method == method or (method == "none" and not v.k)]
    points = step_points([v for v in variants if v.k in ks], model.acceptance)
    contexts = _groups([p.context for p in points])
    for colour, (low, high) in enumerate(contexts):
        for mark, k in enumerate(ks):
            own = sorted(
                (p for p in points if low <= p.context <= high and p.k == k), key=lambda p: p.batch
            )
            if not own:
                continue
            x = [p.batch for p in own]
            axes.plot(
                x,
                [1000 * p.seconds for p in own],
                _MARKS[mark % len(_MARKS)],
                color=f"C{colour}",
                label=f"{(low + high) / 2:,.0f} tokens, K={k}",
            )
            model_times = [1000 * model.step.seconds(p.batch, p.context, p.k) for p in own]
            axes.plot(x, model_times, "-", color=f"C{colour}", alpha=0.6)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("branches")
    axes.set_ylabel("step (ms)")
    axes.set_title(f"{method}: step time")
    axes.legend(fontsize=7)


def _speeds(axes: Any, profile: Profile, models: Mapping[str, EngineModel]) -> None:
    batches = [b for n in range(12) if (b := 1 << n) <= profile.max_branches]
    context = 2 * profile.prompt_tokens
    for method, model in models.items():
        for k in model.ks:
            if (k == 0) != (method == "none"):
                continue
            y = [model.tokens_per_second(b, context, k) for b in batches]
            axes.plot(batches, y, marker=".", label=method if k == 0 else f"{method} K={k}")
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("branches")
    axes.set_ylabel("tokens per second of a branch")
    axes.set_title(f"Speed at {context:,} tokens of context")
    axes.legend(fontsize=7)


def _acceptances(axes: Any, profile: Profile, models: Mapping[str, EngineModel]) -> None:
    for mark, variant in enumerate(v for v in profile.variants if v.k):
        sums: dict[int, list[int]] = {}
        for count in variant.accepted:
            at = sums.setdefault(count.position, [0, 0])
            at[0] += count.steps
            at[1] += count.tokens
        x = sorted(sums)
        y = [sums[at][1] / sums[at][0] for at in x]
        label = f"{variant.method} K={variant.k}"
        axes.plot(x, y, marker=_MARKS[mark % len(_MARKS)], label=label)
    axes.set_ylim(bottom=1)
    axes.set_xlabel("position in the output (tokens)")
    axes.set_ylabel("tokens a step")
    axes.set_title("Acceptance length")
    axes.legend(fontsize=7)


def _groups(contexts: list[float]) -> list[tuple[float, float]]:
    """Ranges of contexts that belong together: those of one level differ by less than a fifth."""
    groups: list[tuple[float, float]] = []
    for context in sorted(contexts):
        if groups and context <= 1.2 * groups[-1][0] + 16:
            groups[-1] = (groups[-1][0], context)
        else:
            groups.append((context, context))
    return groups
