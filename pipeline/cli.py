"""The command line. Commands import what they need when they run: ``torchgraft --help`` stays quick."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..stages.errors import TorchgraftError
from .interrupts import Interrupted, interruptible

app = typer.Typer(
    name="torchgraft",
    help="Graft the weights of a trained Keras model onto a hand-written PyTorch module, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point: an error of ours is a message and its exit code, a bug keeps its traceback."""
    from .console import show_error

    try:
        with interruptible():
            app()
    except TorchgraftError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except Interrupted as signal:
        print(f"torchgraft: {signal}; nothing was written", file=sys.stderr)  # noqa: T201 - the program's own output
        sys.exit(signal.exit_code)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"torchgraft {version('torchgraft')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...


@app.command()
def run(
    configs: Annotated[list[Path], typer.Argument(help="Config files; several make a batch.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(help="Output folder, instead of the config's; a batch gets one below it for each job."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Show JSON lines on stdout.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do the work also where nothing has changed.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show every row of every table.")] = False,
) -> None:
    """Convert what CONFIGS describe, verify it, and write the files."""
    from .batch import exit_code, read_batch
    from .console import view_for
    from .runner import run_job

    jobs = read_batch(configs, output)
    view = view_for(quiet=quiet, as_json=as_json, verbose=verbose)
    codes = []
    try:
        for number, job in enumerate(jobs, 1):
            view.job_started(job.name, number, len(jobs))
            outcome = run_job(job, view, force=force)
            view.job_ended(outcome)
            codes.append(outcome.exit_code)
    except Interrupted:
        view.interrupted()
        raise
    raise typer.Exit(exit_code(codes))


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(help="A .keras, .h5 or .hdf5 file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Show JSON on stdout.")] = False,
) -> None:
    """Show what is in a Keras file, safely: nothing of it is run."""
    from .inspection import show_model

    show_model(model, as_json=as_json)


@app.command()
def explain(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run, or its plan.json.")],
    key: Annotated[str, typer.Argument(help="A key of the state_dict.")],
) -> None:
    """Show how one tensor is made, step by step, the evidence for it, and the candidates that lost."""
    from .explain import explain as explained

    typer.echo(explained(folder, key), nl=False)


@app.command()
def init(
    model: Annotated[str, typer.Argument(help="A Keras file, or file.py:function.")],
    target: Annotated[str, typer.Argument(help="Your module: file.py:Class or package.module:attribute.")],
    output: Annotated[Path, typer.Option(help="Where to write it.")] = Path("config.yaml"),
) -> None:
    """Write a commented config for MODEL and TARGET."""
    from .template import write_template

    missing = write_template(model, target, output)
    if missing:
        typer.echo(f"torchgraft: warning: {missing}", err=True)
    typer.echo(f"wrote {output}; next: torchgraft run {output}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    from .config import JobOptions

    typer.echo(json.dumps(JobOptions.model_json_schema(), indent=2))
