"""What a person wants to read after a conversion: plain data that can cross a pipe, and its text.

A Summary is made where the tensors are (in the worker) and shown where the terminal is (in the parent).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..stages.base import Agreement, Extraction, Finding
from ..stages.errors import DifferenceError
from .partial import stated_fit

if TYPE_CHECKING:
    from .conversion import Conversion

WIDTH = 140
RUNTIMES = {
    "keras": "Keras",
    "onnxruntime raw": "ONNX Runtime (raw graph)",
    "onnxruntime": "ONNX Runtime",
    "torch": "PyTorch",
}


@dataclass(frozen=True)
class MappingRow:
    """One key of the state_dict: where it comes from, or why it stays as it is."""

    key: str
    shape: tuple[int, ...]
    variables: str
    recipe: str


@dataclass(frozen=True)
class Summary:
    """One conversion, for people.

    Attributes:
        mapping: every key, in the state_dict's order.
        unused: Keras variables that no key takes: (name, reason).
        notes: how the model was read and where the tolerance comes from, where that is not plain.
        partial: what of the Keras model, or of the module, takes no part in the target; "" where all does.
        fit: how the module is fed and what it gives, as lines of a config.
        graphs: stage 3: how many comparisons of the ONNX graphs with Keras agree, and of how many.
        stages: stage → seconds.
        The others are those of Comparison.
    """

    name: str
    model: str
    module: str
    verified: bool
    stages: dict[str, float]
    mapping: tuple[MappingRow, ...]
    unused: tuple[tuple[str, str], ...]
    graphs: tuple[int, int]
    outputs: tuple[Agreement, ...]
    layers: tuple[Agreement, ...]
    not_compared: dict[str, str]
    accuracy: dict[str, float]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    partial: str = ""
    fit: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        return TypeAdapter(cls).validate_python(data)


class NotVerifiedError(DifferenceError):
    """A conversion whose runtimes do not agree, with everything that was found."""

    def __init__(
        self, what: str, *, summary: Summary, where: str = "", fix: str = "", details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, fix=fix, details=details)
        self.summary = summary

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.what, self.summary, self.where, self.fix, self.details)


def _rebuild(what: str, summary: Summary, where: str, fix: str, details: tuple[str, ...]) -> NotVerifiedError:
    return NotVerifiedError(what, summary=summary, where=where, fix=fix, details=details)


def summary_of(conversion: Conversion, name: str) -> Summary:
    """The Summary of a conversion called ``name``."""
    comparison, plan = conversion.comparison, conversion.plan
    rows = conversion.verification.agreements
    return Summary(
        name=name,
        model=conversion.job.model_source,
        module=conversion.job.module_source,
        verified=conversion.verified,
        stages=dict(conversion.timings),
        mapping=tuple(_mapping(conversion)),
        unused=tuple((left.name, left.reason) for left in plan.unused),
        graphs=(sum(row.agrees for row in rows), len(rows)),
        outputs=comparison.outputs,
        layers=comparison.layers,
        not_compared=dict(comparison.not_compared),
        accuracy=dict(comparison.accuracy),
        findings=comparison.findings,
        notes=_notes(conversion),
        partial=conversion.partial,
        fit=tuple(stated_fit(conversion.artifacts[Extraction]).config_lines()),
    )


def _notes(conversion: Conversion) -> tuple[str, ...]:
    job, of_onnx = conversion.job, conversion.verification.tolerance
    told = [f"model: {note}" for note in job.model_notes]
    for whose, tolerance in (("", job.tolerance), (" of ONNX Runtime", of_onnx)):
        if tolerance and tolerance.reason and not (whose and tolerance == job.tolerance):
            numbers = f"{tolerance.rtol:.2g} of the largest value, and {tolerance.atol:.2g}"
            told.append(f"tolerance{whose}: {numbers}: {tolerance.reason}")
    return tuple(told)


def _mapping(conversion: Conversion) -> Iterator[MappingRow]:
    plan = conversion.plan
    computed = plan.arithmetic
    kept = {left.name: left.reason for left in plan.unmatched}
    for key, shape in plan.shapes.items():
        if key in kept:
            yield MappingRow(key, shape, "(as the module has it)", kept[key])
        else:
            paths = dict.fromkeys(variable.path for variable in plan[key].variables)
            recipe = f"arithmetic: {computed[key]}" if key in computed else str(plan[key])
            yield MappingRow(key, shape, ", ".join(paths) or "(none)", recipe)


def render(summary: Summary, limit: int | None = None) -> RenderableType:
    """The summary for a rich console; tables end after ``limit`` rows and say so."""
    parts: list[RenderableType] = [_stage_table(summary)] if summary.stages else []
    parts += [Text(note[0].upper() + note[1:]) for note in summary.notes]
    parts += [Text("How the module is fed and what it gives, as lines of a config:")] if summary.fit else []
    parts += [Text(f"  {line}") for line in summary.fit]
    parts.append(_mapping_table(summary, limit))
    parts += _lines([f"Not taken: {name}: {reason}" for name, reason in summary.unused], limit, "plan.json")
    if summary.layers:
        parts.append(_agreement_table("Layers: largest absolute difference", summary.layers, limit))
    parts.append(_agreement_table("Outputs: largest absolute difference", summary.outputs, None))
    skipped = [f"Not compared: {name}: {reason}" for name, reason in summary.not_compared.items()]
    parts += _lines(skipped, limit, "comparison.json")
    differing = [f"Differs: {row.name}, {_pair(row)}: {row.reason}" for row in _differing(summary)]
    parts += _lines(differing, limit, "comparison.json")
    if summary.accuracy:
        shares = " · ".join(f"{RUNTIMES.get(name, name)} {share:.4f}" for name, share in summary.accuracy.items())
        parts.append(Text(f"Accuracy: {shares}", style="bold"))
    parts += [Text(text, style="red" if severity == "error" else "") for severity, text in _findings(summary.findings)]
    agree, total = summary.graphs
    parts.append(Text(f"ONNX graphs against Keras: {agree} of {total} comparisons agree"))
    verdict = "verified" if summary.verified else "NOT verified"
    verdict += f"; a partial target: {summary.partial}" if summary.partial else ""
    style = "bold green" if summary.verified else "bold red"
    parts.append(Text(f"{summary.name}: {summary.model} → {summary.module}: {verdict}", style=style))
    return Group(*parts)


def _lines(texts: Sequence[str], limit: int | None, source: str) -> list[RenderableType]:
    more = (
        [f"… {len(texts) - limit} more in {source}, or with --verbose"]
        if limit is not None and len(texts) > limit
        else []
    )
    return [Text(text) for text in (*texts[:limit], *more)]


def _findings(findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
    """(severity, text) of each finding; those that one and the same line mends (an epsilon in every block) are one."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.fix), []).append(finding)
    for (severity, _), (first, *others) in groups.items():
        places = ", ".join(finding.place for finding in others)
        yield severity, f"{first} (and in {len(others)} more places: {places})" if others else str(first)


def text_of(summary: Summary, limit: int | None = None) -> str:
    """The summary as plain text, whole or with ``limit`` rows a table; without times: a rerun gives the same."""
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, color_system=None, legacy_windows=False)
    console.print(render(replace(summary, stages={}), limit))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def difference_error(conversion: Conversion, name: str = "") -> NotVerifiedError:
    """The refusal of a conversion that is not verified, with everything that was compared."""
    comparison = conversion.comparison
    first = comparison.first_difference
    worst = next((finding for finding in comparison.findings if finding.severity == "error"), None)
    what = f"{first.name} differs between {_pair(first)}: {first.reason}" if first else "the outputs cannot be trusted"
    if worst:
        what += f"; the cause: {worst.cause}"
    fix = worst.fix if worst else "compare the module's forward with the Keras layer named above"
    where = worst.place if worst and worst.place else conversion.job.module_source
    summary = summary_of(conversion, name or conversion.job.module_source)
    details = tuple(text_of(summary).splitlines())
    return NotVerifiedError(what, summary=summary, where=where, fix=fix, details=details)


def _differing(summary: Summary) -> Iterator[Agreement]:
    return (row for row in (*summary.layers, *summary.outputs) if not row.agrees)


def _pair(row: Agreement) -> str:
    return " and ".join(RUNTIMES.get(runtime, runtime) for runtime in row.runtimes)


def _stage_table(summary: Summary) -> Table:
    table = Table(title="Stages", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for stage, seconds in summary.stages.items():
        table.add_row(stage, f"{seconds:.2f}")
    table.add_row("together", f"{sum(summary.stages.values()):.2f}")
    return table


def _mapping_table(summary: Summary, limit: int | None) -> Table:
    table = Table(title="Mapping", title_justify="left")
    for header in ("key", "shape", "Keras variable", "recipe"):
        table.add_column(header, overflow="fold")
    rows = [(row.key, str(row.shape), row.variables, row.recipe) for row in summary.mapping]
    return _filled(table, rows, limit, "plan.json")


def _agreement_table(title: str, agreements: Iterable[Agreement], limit: int | None) -> Table:
    """One row a name, one column a pair of runtimes."""
    by_name: dict[str, dict[str, Agreement]] = {}
    pairs: dict[str, None] = {}
    for row in agreements:
        pairs[_pair(row)] = None
        by_name.setdefault(row.name, {})[_pair(row)] = row
    table = Table(title=title, title_justify="left")
    table.add_column("name", overflow="fold")
    for pair in pairs:
        table.add_column(pair, justify="right")
    table.add_column("agree")
    rows = []
    for name, found in by_name.items():
        cells = [f"{found[pair].max_abs:.2e}" if pair in found else "" for pair in pairs]
        rows.append((name, *cells, "yes" if all(row.agrees for row in found.values()) else "NO"))
    return _filled(table, rows, limit, "comparison.json")


def _filled(table: Table, rows: Sequence[tuple[str, ...]], limit: int | None, source: str) -> Table:
    for row in rows[:limit]:
        table.add_row(*(Text(cell) for cell in row))
    if limit is not None and len(rows) > limit:
        table.caption = f"… {len(rows) - limit} more in {source}, or with --verbose"
    return table
