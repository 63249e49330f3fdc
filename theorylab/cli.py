"""The command line: ``theorylab verify | list | show | report | demo | new``, and ``verify`` for one file of claims.

Exit codes: 0 all as expected; 1 a verdict differs from the expected one or a control was not refuted; 2 usage error;
3 something could not be measured, was undecided or could not be written; 130 interrupted; 141 broken pipe.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from theorylab import __version__
from theorylab.page_commands import demo, folder_option, new, report

if TYPE_CHECKING:
    from theorylab.claims import Claim
    from theorylab.results import ClaimResult

_BACKENDS = ("loky", "threading", "dask")  # theorylab.backends.BACKENDS, without the time to import it
_DIFFERS, _USAGE, _NOT_MEASURED, _INTERRUPTED, _BROKEN_PIPE = 1, 2, 3, 130, 141

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """How claims are run and where their results go, as chosen on the command line."""

    full: bool
    seed: int
    workers: int | None
    backend: str
    scheduler: str | None
    fresh: bool
    as_json: bool
    quiet: bool
    results: Path
    figures: bool


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--full", is_flag=True, help="Run the full budget instead of the quick one."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all streams."),
        click.option("--workers", type=click.IntRange(min=1), help="Worker processes; default: one a usable core."),
        click.option("--backend", type=click.Choice(_BACKENDS), default="loky", show_default=True, help="Who works."),
        click.option("--scheduler", metavar="ADDR", help="Running Dask scheduler, tcp://...; with --backend dask."),
        click.option("--fresh", is_flag=True, help="Compute everything again, also what the store holds."),
        _json_option,
        click.option("--quiet", is_flag=True, help="Print failures and the last line only."),
        click.option(
            "--results",
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            help="Results folder.",
        ),
        click.option("--figures/--no-figures", default=True, help="Draw each claim as SVG and PNG beside its results."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group("theorylab", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="theorylab")
def commands() -> None:
    """Try the theorems of papers on real numbers: verdicts, measured against stated, controls refuted.

    Exit codes: 0 all as expected, 1 a verdict or control differs, 2 usage error, 3 not measured or undecided,
    130 interrupted.
    """


@commands.command()
@click.argument("names", metavar="[PAPER[/CLAIM]]...", nargs=-1)
@_run_options
@folder_option
def verify(names: tuple[str, ...], folder: Path | None, **options: Any) -> int:
    """Run claims and judge them: all, those of a PAPER, or single ones. An interrupted run resumes."""
    from theorylab.finding import claim_files

    return _verify(names, lambda: claim_files(folder), _Options(**options))


@commands.command("list")
@_json_option
@folder_option
def list_claims(as_json: bool, folder: Path | None) -> None:
    """List all claims with their sources and kinds, running nothing."""
    from theorylab.finding import claim_files, select

    with _clean_stdout(as_json) as stdout:
        found = select((), claim_files(folder))
    if as_json:
        pictures = [{"id": item.id, "paper": item.paper.slug, "title": item.title} for item in found.pictures]
        _print_json({"claims": [_entry(claim) for claim in found.claims], "pictures": pictures}, stdout)
        return
    from theorylab.console import console_for, show_list

    show_list(console_for(stdout), found.claims, found.pictures)


@commands.command()
@click.argument("claim", metavar="PAPER/CLAIM")
@folder_option
def show(claim: str, folder: Path | None) -> None:
    """Show a claim in full: statement, hypotheses, sweep, thresholds, controls, how to reproduce it. Or a picture."""
    from theorylab.claims import Claim
    from theorylab.console import console_for, say, show_claim, show_picture
    from theorylab.finding import claim_files, select

    console = console_for(sys.stdout)
    found = select((claim,), claim_files(folder))
    for position, item in enumerate(found.items):
        if position:
            say(console)
        if isinstance(item, Claim):
            show_claim(console, item)
        else:
            show_picture(console, item)


for command in (report, demo, new):
    commands.add_command(command)


def _entry(claim: Claim) -> dict[str, str]:
    return {
        "id": claim.id,
        "paper": claim.paper.slug,
        "title": claim.title,
        "source": claim.source,
        "kind": claim.guarantee.value,
        "mode": claim.mode.value,
        "expected": claim.expected.word,
    }


def _verify(names: Sequence[str], files: Callable[[], Sequence[Path]], options: _Options) -> int:
    from theorylab import console
    from theorylab.finding import select
    from theorylab.outputs import write_all
    from theorylab.runner import run
    from theorylab.store import open_store
    from theorylab.unfinished import Begun, mark, unmark

    # With --json whatever a claim prints, in this process or in a worker, goes to stderr.
    with _clean_stdout(options.as_json) as stdout:
        try:
            found = select(names, files())
            ids = [claim.id for claim in found.claims]
            open_store(options.results)
            mark(options.results, ids, Begun("full" if options.full else "quick", options.seed))
            with console.progress(sys.stderr, quiet=options.quiet) as on_event:
                results = run(
                    found.claims,
                    full=options.full,
                    seed=options.seed,
                    workers=options.workers,
                    backend=options.backend,
                    scheduler=options.scheduler,
                    folder=options.results,
                    fresh=options.fresh,
                    on_event=on_event,
                )
            drawn = write_all(
                results,
                found.pictures if options.figures else (),
                options.results,
                figures=options.figures,
                seed=options.seed,
                workers=options.workers,
            )
            unmark(options.results, ids)
        except KeyboardInterrupt:
            kept = options.results / "store"
            print(f"Interrupted. What is finished is kept in {kept}: the same command resumes.", file=sys.stderr)
            return _INTERRUPTED
    code = exit_code(results, drawn.failures)
    if options.as_json:
        from theorylab.results import claim_json

        claims = [claim_json(result) for result in results]
        pictures = [{"id": name, "failure": failure} for name, failure in drawn.pictures.items()]
        failed = list(drawn.figures.values())
        _print_json({"ok": code == 0, "claims": claims, "pictures": pictures, "figures_failed": failed}, stdout)
    else:
        screen = console.console_for(stdout)
        console.show_results(screen, results, quiet=options.quiet)
        console.show_summary(
            screen, results, options.results, figures=options.figures, quiet=options.quiet, drawn=drawn
        )
    return code


def exit_code(results: Sequence[ClaimResult], not_drawn: Sequence[str] = ()) -> int:
    """Return 0 if all is as expected, 1 if a verdict or control differs, 3 if something was undecided or not drawn."""
    from theorylab.verdicts import Verdict

    surprises = [result.arm.verdict for result in results if not result.as_expected]
    surprises += [arm.verdict for result in results for arm in result.controls if not result.refuted(arm)]
    undecided = (Verdict.INCONCLUSIVE, Verdict.COULD_NOT_MEASURE)
    if any(verdict not in undecided for verdict in surprises):
        return _DIFFERS
    return _NOT_MEASURED if surprises or not_drawn else 0


@contextmanager
def _clean_stdout(wanted: bool) -> Iterator[Any]:
    """Yield the stream for our own output; inside, if ``wanted``, all else that goes to stdout goes to stderr.

    The descriptor is redirected too, because worker processes inherit it.
    """
    stdout = sys.stdout
    if not wanted:
        yield stdout
        return
    stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield stdout
    finally:
        sys.stdout = stdout
        os.dup2(kept, 1)
        os.close(kept)


def _print_json(document: Any, stdout: Any) -> None:
    stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")


def run_file(path: str | Path, arguments: Sequence[str] | None = None) -> int:
    """Verify the claims of one file with the options of ``theorylab verify``; returns the exit code.

    A file of ``verify/`` ends with ``if __name__ == "__main__": raise SystemExit(run_file(__file__))``.
    """

    @click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
    @click.argument("names", metavar="[CLAIM]...", nargs=-1)
    @_run_options
    def verify_file(names: tuple[str, ...], **options: Any) -> int:
        """Run the claims of this file, or those named, and judge them. An interrupted run resumes."""
        return _verify(names, lambda: [Path(path)], _Options(**options))

    return execute(verify_file, f"python {Path(path).name}", sys.argv[1:] if arguments is None else arguments)


def execute(command: click.Command, name: str, arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; whatever goes wrong ends in a sentence on stderr, not in a traceback."""
    _prepare_streams()
    try:
        with command.make_context(name, list(arguments)) as context:
            code = command.invoke(context)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("Interrupted.", file=sys.stderr)
        return _INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader has left (rich turns that into SystemExit); what is still buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _BROKEN_PIPE
    except Exception as error:
        return _explain(error)


def _prepare_streams() -> None:
    # A stream that cannot show a character shows "?" for it rather than fail.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _explain(error: Exception) -> int:
    """Say what went wrong and return the exit code for it."""
    from theorylab.backends import BackendError

    if isinstance(error, ValueError | OSError | BackendError):
        print(f"Error: {error}", file=sys.stderr)
        return _USAGE if isinstance(error, ValueError) else _NOT_MEASURED
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    print(f"Error: theorylab itself failed ({where}): {type(error).__name__}: {error}", file=sys.stderr)
    return _NOT_MEASURED


def main() -> None:
    """Entry point of the ``theorylab`` command."""
    raise SystemExit(execute(commands, "theorylab", sys.argv[1:]))
