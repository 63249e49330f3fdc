"""The page of 130 claims: seconds to write it, its size, and how soon Chromium shows the first of it.

Run from the root of the project: python tests/benchmarks/bench_report.py
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import browser
import made_up

from theorylab.claims import claims_of, load_file
from theorylab.plotting import save
from theorylab.report.page import write_page
from theorylab.results import document_json

VERIFY = Path(__file__).resolve().parents[2] / "verify"
CLAIMS = 130


def results(folder: Path) -> None:
    """Write the results of 130 claims: published statements with figures of every made-up kind."""
    kinds = [made_up.rate(), made_up.squeezed(), made_up.categories(), made_up.trajectory(), made_up.single()]
    drawn = [(document_json(result), save(result, folder / "drawn")[0].read_text()) for result in kinds]
    statements = [claim.statement for path in sorted(VERIFY.glob("*.py")) for claim in claims_of(load_file(path))]
    (folder / "results/many").mkdir(parents=True)
    for k in range(CLAIMS):
        record, svg = drawn[k % len(drawn)]
        own = {"id": f"many/claim-{k}", "paper": "many", "statement": statements[k % len(statements)]}
        (folder / f"results/many/claim-{k}.json").write_text(json.dumps(record | own))
        (folder / f"results/many/claim-{k}.svg").write_text(svg)


def main() -> None:
    """Print seconds and megabytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results(folder)
        out = folder / "index.html"
        start = time.perf_counter()
        write_page(folder / "results", [], out)
        print(
            f"{CLAIMS} claims: page written in {time.perf_counter() - start:.2f} s, {out.stat().st_size / 1e6:.2f} MB"
        )
        if browser.EXECUTABLE is None:
            print("no Chromium here: first paint not measured")
            return
        with browser.chromium() as page:
            page.look(1440)
            for _ in range(3):
                page.open(out.as_uri())
                page.run("new Promise(done => setTimeout(done, 500))")
                paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                print(f"first paint after {page.run(paint):.0f} ms")


if __name__ == "__main__":
    main()
