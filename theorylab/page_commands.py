"""Commands that write for readers and authors instead of judging: ``theorylab report | demo | new``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

folder_option = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of claim files, instead of the nearest verify/.",
)
_results_option = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Results folder."
)


@click.command()
@_results_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("figures/index.html"),
    show_default=True,
    help="The page.",
)
@folder_option
def report(results: Path, out: Path, folder: Path | None) -> None:
    """Write one page that holds everything: verdicts, findings, statements, figures. It runs nothing."""
    from theorylab.console import console_for, say
    from theorylab.finding import claim_files
    from theorylab.report.page import write_page

    console = console_for(sys.stdout)
    for sentence in write_page(results, claim_files(folder), out):
        say(console, sentence)


@click.command()
@click.argument("paper", metavar="PAPER")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The page; default: figures/<paper>.html.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all streams.")
@click.option("--fresh", is_flag=True, help="Compute the lesson again, also when it is stored.")
@click.option("--quiet", is_flag=True, help="Print the last line only.")
@_results_option
@folder_option
def demo(paper: str, out: Path | None, seed: int, fresh: bool, quiet: bool, results: Path, folder: Path | None) -> None:
    """Write the lesson of a PAPER: one page with sliders and animations. What it computes is stored."""
    from theorylab.console import advancing, console_for, say
    from theorylab.finding import claim_files
    from theorylab.report.demo import write_lesson

    with advancing(console_for(sys.stderr), "parts", quiet=quiet) as progress:
        said = write_lesson(paper, claim_files(folder), out, results=results, seed=seed, fresh=fresh, progress=progress)
    for sentence in said:
        say(console_for(sys.stdout), sentence)


@click.command()
@click.argument("name", metavar="NAME")
def new(name: str) -> None:
    """Begin a paper: write a problem, an algorithm and a file of claims, all called NAME, that run at once."""
    from theorylab.console import console_for, say
    from theorylab.skeleton import begin

    console = console_for(sys.stdout)
    for sentence in begin(name, Path.cwd()):
        say(console, sentence)
