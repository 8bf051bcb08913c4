"""Tables for the terminal: designs, fits, decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..designs.report import Design, comparison
from ..designs.step_laws import SCHEDULE, WARM_UP, advise
from ..fits.fit import ILL_CONDITIONED
from ..fits.report import Analysis, Decisions
from ..plots.style import short
from ..reconcile.reconcile import Waterfall
from ..reconcile.report import Reconciliation

CELLS = 40
"""Cells that are listed; the files hold all."""


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], console: Console | None = None) -> None:
    """Print one table below its title; all columns but the first are numbers."""
    console = console or Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(escape(column), justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(title, style="bold", markup=False)
    console.print(table)
    console.print()


def number(value: float | None, figures: int = 3) -> str:
    """A number for a table; a dash for none, ∞ where the runs cannot tell.

    >>> number(0.01234), number(None), number(float("inf"))
    ('0.0123', '–', '∞')
    """
    if value is None:
        return "–"
    return "∞" if value == float("inf") else f"{value:.{figures}g}"


def _passes(value: float | None) -> str:
    """Passes over a text, written out from a thousand on.

    >>> _passes(1.4951), _passes(14951.3), _passes(None)
    ('1.5', '14,951', '–')
    """
    return f"{value:,.0f}" if value is not None and 1000 <= value < float("inf") else number(value)


def show_design(design: Design, difference: float | None) -> None:
    """Shapes side by side, the chosen cells with advice, power, and what the text is enough for."""
    console = Console(highlight=False)
    rows: list[tuple[str, ...]] = []
    for name, option in design.options.items():
        if option.grid is None or option.precision is None:
            rows.append((name, "0", *("–" for _ in range(7))))
            continue
        grid, known = option.grid, option.precision
        rows.append(
            (
                f"{name} *" if name == design.chosen else name,
                str(grid.runs),
                f"{short(grid.params.min(), 2)}–{short(grid.params.max(), 2)}",
                f"{short(grid.tokens.min(), 2)}–{short(grid.tokens.max(), 2)}",
                f"{grid.flops:.2g}".replace("e+", "e"),
                *(number(error, 2) for error in (known.errors.get("alpha"), known.errors.get("beta"), known.exponent)),
                number(known.target, 2),
            )
        )
    target = f"{short(design.target[0])} parameters, {short(design.target[1])} tokens"
    heads: tuple[str, ...] = ("shape", "runs", "sizes", "tokens", "FLOPs", "α", "β", "N*", "target")
    title = f"standard errors of each shape: α, β, the exponent of N*(C), log loss at {target}"
    show(title, heads, rows, console)
    _show_doubt(console, design)
    cells = list(zip(design.grid.params.tolist(), design.grid.tokens.tolist(), strict=True))
    lines: list[tuple[str, ...]] = []
    for params, tokens in cells[:CELLS]:
        said = [one for one in advise(params, tokens) if not one.outside] or advise(params, tokens)
        rates = sorted({f"{one.learning_rate:.1e}" for one in said if one.learning_rate}, key=float)
        batches = [one.batch_tokens for one in said if one.batch_tokens]
        batch = list(dict.fromkeys((short(min(batches)), short(max(batches)))))
        lines.append(
            (
                short(params), short(tokens), f"{tokens / params:.3g}", "–".join(dict.fromkeys((rates[0], rates[-1]))),
                "–".join(batch), ", ".join(one.law for one in said) if not said[0].outside else "none covers it",
            )
        )  # fmt: skip
    seeds = f", {design.grid.seeds} seeds each" if design.grid.seeds > 1 else ""
    heads = ("size", "tokens", "ratio", "learning rate", "step tokens", "as these laws say")
    show(f"{design.chosen}: {design.grid.runs} runs{seeds}", heads, lines, console)
    if len(cells) > CELLS:
        console.print(f"… and {len(cells) - CELLS} cells more\n")
    console.print(f"warm-up: {WARM_UP}\nschedule: {SCHEDULE}\n")
    if difference is not None:
        _show_power(console, design, difference)
    if design.needs:
        _show_needs(console, design)


def _show_doubt(console: Console, design: Design) -> None:
    """Where the chosen plan cannot tell what is asked of it."""
    known = design.options[design.chosen].precision
    if known is None:
        return
    if known.target is not None and known.target == float("inf"):
        console.print(
            "doubt: this plan cannot predict the target at all. Give more sizes (three or more) or budgets.\n"
        )
    elif known.condition > ILL_CONDITIONED:
        console.print(
            f"doubt: some combination of parameters hardly changes any loss of this plan (condition number "
            f"{known.condition:.1e}), so these errors are too small. Vary the ratio of tokens to parameters.\n"
        )


def _show_power(console: Console, design: Design, difference: float) -> None:
    told = comparison(design, difference)
    console.print(f"two recipes that differ by {difference:g} of log loss (seed noise {design.noise.seed:g}):")
    console.print(
        f"  in one cell, {told['seeds']} seeds each: power {told['power_in_one_cell']:.0%}; "
        f"for 80 %: {told['seeds_for_80_percent_in_one_cell']} seeds, "
        f"or a difference of {told['least_difference_in_one_cell']:.2g}"
    )
    if "power_over_all_cells" in told:
        console.print(
            f"  over all {design.grid.params.size} cells, {design.wish.seeds} each: power "
            f"{told['power_over_all_cells']:.0%}; for 80 %: a difference of "
            f"{told['least_difference_over_all_cells']:.2g}"
        )
    exponents = told["least_difference_of_exponents"]
    if exponents:
        listed = ", ".join(f"{number(value, 2)} of {name}" for name, value in exponents.items())
        console.print(f"  by a fit of each, 80 % power: a difference of {listed}")
    console.print()


def _show_needs(console: Console, design: Design) -> None:
    largest = [need for need in design.needs if need.budget == design.grid.budgets[-1]]
    rows = []
    for need in largest:
        share = need.tokens / need.budget
        most = design.passes * need.held / share if share else float("inf")
        rows.append(
            (
                need.stratum, f"{share:.3g}", short(need.held), need.basis, short(most), _passes(need.epochs),
                short(need.worth),
            )
        )  # fmt: skip
    columns = ("stratum", "share", "unique", "known", "enough for", "passes", "worth fresh")
    show(f"the text, and what the largest budget of {short(largest[0].budget)} asks of it", columns, rows, console)
    if design.infeasible:
        listed = ", ".join(short(budget) for budget in design.infeasible)
        said = "1 pass" if design.passes == 1 else f"{design.passes:g} passes"
        console.print(f"cannot be had with {said} at most: {listed}\n", style="bold")


def show_analysis(one: Analysis) -> None:
    """A fit: parameters with standard errors and intervals, objective, other optima, held-out error, doubts."""
    console = Console(highlight=False, soft_wrap=True)
    made, drawn = one.fit, one.samples
    rows = []
    by = (*(("bootstrap",) if drawn else ()), *(("profile",) if one.profiles else ()))
    for parameter in made.law.parameters:
        name = parameter.name
        error = f"{drawn.standard_errors[name]:.3g}" if drawn else "–"
        intervals = [drawn.intervals[name]] if drawn else []
        intervals += [one.profiles[name].interval] if name in one.profiles else []
        rows.append((name, f"{made.theta[name]:.6g}", error, *map(str, intervals)))
    if one.exponent is not None:
        value, interval_of = one.exponent
        ends = ["" if by_one == "profile" else str(interval_of) for by_one in by]
        rows.append(("N* exponent", f"{value:.4f}", "", *ends))
    title = f"{made.law.name}: {made.law.formula_text}" if made.law.formula_text else made.law.name
    if one.recipe:
        title = f"{one.recipe}: {title}"
    heads = ("parameter", "value", "±", *(f"95 % by {name}" for name in by))
    show(title, heads, rows, console)
    units = "; ".join(f"{parameter.name} {parameter.unit}" for parameter in made.law.parameters if parameter.unit)
    console.print(f"units: {units}", markup=False)
    console.print(f"{made.objective}: {made.value:.7g} over {made.residuals.size} runs")
    for other in made.optima[1:]:
        listed = ", ".join(f"{name} {value:.5g}" for name, value in other.theta.items())
        console.print(f"another optimum, {other.value:.7g}: {listed}", markup=False)
    if one.held_out is not None:
        score = one.held_out
        console.print(
            f"fitted without {score.splits[0].name}, it predicts them with an error of {score.mean:.2%} in the mean, "
            f"{score.largest:.2%} at most"
        )
    for flag in made.flags:
        console.print(f"doubt: {flag.name}: {flag.message}", markup=False)
    console.print()


def show_decisions(made: Decisions) -> None:
    """Ranks, differences beyond noise, decision accuracy of small runs, crossings."""
    console = Console(highlight=False, soft_wrap=True)
    rows: list[tuple[str, ...]]
    heads: tuple[str, ...]
    where = f"{short(made.cell[0])} parameters, {short(made.cell[1])} tokens"
    if made.noise is None:
        console.print(f"{where}: no recipe has two seeds in a cell, so no difference can be told from seed noise\n")
    else:
        said = f"seed noise {made.noise.deviation:.2g} of log loss, from {made.noise.degrees} degrees of freedom"
        ranks = [
            (one.recipe, f"{exp(one.log_loss):.4f}", str(one.seeds), _places(one.best, one.worst))
            for one in made.ranks
        ]  # fmt: skip
        show(f"{where} ({said})", ("recipe", "loss", "seeds", "places that noise leaves"), ranks, console)
        rows = [
            (
                f"{one.first} – {one.second}", f"{one.difference:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}",
                f"{one.p_value:.2g}", "yes" if one.beyond_noise else "no",
            )
            for one in made.differences
        ]  # fmt: skip
        heads = ("pair", "difference of log loss", "95 % interval", "p", "beyond noise")
        show("pairs there", heads, rows, console)
    if made.accuracies:
        rows = [
            (
                short(one.cell[0]), short(one.cell[1]), f"{one.share:.2g}", f"{one.one_seed:.0%}", f"{one.mean:.0%}",
                f"{one.low:.0%} to {one.high:.0%}", str(one.pairs),
            )
            for one in made.accuracies
        ]  # fmt: skip
        heads = ("parameters", "tokens", "FLOPs share", "one seed", "mean of seeds", "95 % interval", "pairs")
        show(f"pairs that smaller runs order as {where}", heads, rows, console)
    rows = [
        (
            f"{pair[0]} – {pair[1]}", ", ".join(short(at) for at in one.at) or "none",
            "–" if one.low is None or one.high is None else f"{short(one.low)} to {short(one.high)}",
            "–" if one.chance is None else f"{one.chance:.0%}",
        )
        for pair, one in made.crossings.items()
    ]  # fmt: skip
    if rows:
        title = f"tokens where the laws cross at {short(made.cell[0])} parameters"
        show(title, ("pair", "at", "95 % interval", "of bootstraps"), rows, console)


def _places(best: int, worst: int) -> str:
    return str(best) if best == worst else f"{best} to {worst}"


def show_comparison(analyses: Sequence[Analysis]) -> None:
    """Laws of each recipe, by their error on the largest runs."""
    for recipe in dict.fromkeys(one.recipe for one in analyses):
        scores = [(one.held_out.mean, one) for one in analyses if one.recipe == recipe and one.held_out is not None]
        rows = [
            (one.fit.law.name, f"{mean:.2%}", f"{one.held_out.largest:.2%}", str(len(one.fit.law.names)))
            for mean, one in sorted(scores, key=lambda pair: pair[0])
            if one.held_out is not None
        ]
        title = "error on the largest runs, fitted to the others" + (f": {recipe}" if recipe else "")
        show(title, ("law", "mean", "at most", "parameters"), rows)


def show_way(way: Waterfall) -> None:
    """The way from one exponent to the other, cause by cause."""
    rows = [(way.start, "", f"{way.steps[0].before:.3f}", "")]
    rows += [
        (step.cause, f"{step.change:+.3f}", f"{step.after:.3f}", "–" if step.share is None else f"{step.share:+.3f}")
        for step in way.steps
    ]
    rows.append((way.end, f"{way.steps[-1].after - way.steps[0].before:+.3f}", rows[-1][2], ""))
    heads = ("cause", "change", "exponent of N*(C)", "over all orders")
    show(f"from {way.start} to {way.end}", heads, rows, Console(highlight=False, soft_wrap=True))


def show_reconciliation(made: Reconciliation) -> None:
    """The way from one exponent to the other, the views, and a break if there is one."""
    console = Console(highlight=False, soft_wrap=True)
    show_way(made.way)
    if made.views:
        views = [
            (view.name, view.fit.law.name, str(len(view.rows)), _listed(view.fit.theta)) for view in made.views
        ]  # fmt: skip
        show(f"{made.way.end} from four sides", ("view", "law", "runs", "parameters"), views, console)
    if made.frontier is not None:
        sizes = made.frontier.sizes
        console.print(
            f"best sizes at {made.frontier.flops.size} sums of FLOPs: exponent {sizes.exponent:.3f} ± "
            f"{sizes.standard_error:.3f} (from their scatter about the line)"
        )
    if made.bend is not None:
        found = made.bend
        console.print(
            f"one change of exponent, if any: {found.below:.3f} below {found.at:.2g} FLOPs, {found.above:.3f} above "
            f"(p = {found.p_value:.2g})"
        )


def _listed(theta: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in theta.items())
