"""Pictures of a paper: drawn after its claims, the same each time, listed and shown; one that fails is a sentence."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import claim_files
import picture_files
import pytest
from matplotlib.figure import Figure

from theorylab import cli
from theorylab.claims import ClaimError, Paper, load_file
from theorylab.pictures import Drawing, canvas, drawn, picture, pictures_of, save_picture

PAPER = Paper("small-numbers", "On small numbers", "A. Nobody", "A journal, 2026")


def run(*arguments: str) -> int:
    return cli.execute(cli.commands, "theorylab", arguments)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    picture_files.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def walk(folder):
    (found,) = pictures_of(load_file(picture_files.write(folder)))
    return found


def test_title_caption_and_id_come_from_the_function(tmp_path):
    found = walk(tmp_path)
    assert (found.id, found.title) == ("small-numbers/random-walk", "A random walk leaves its start")
    assert found.caption == "After $n$ steps it is about $\\sqrt{n}$ away."


def test_the_same_seed_gives_the_same_bytes_and_another_another_picture(tmp_path):
    found = walk(tmp_path)
    texts = {name: save_picture(found, tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))}
    assert set(texts.values()) == {""}
    a, b, c = (tmp_path / name / "small-numbers/pictures" for name in "abc")
    for ending in ("svg", "png", "json"):
        assert (a / f"random-walk.{ending}").read_bytes() == (b / f"random-walk.{ending}").read_bytes()
        assert (a / f"random-walk.{ending}").read_bytes() != (c / f"random-walk.{ending}").read_bytes()
    assert int.from_bytes((a / "random-walk.png").read_bytes()[16:20], "big") == 900
    record = json.loads((a / "random-walk.json").read_text())
    assert re.fullmatch(r"After 200 steps the walk is at -?\d+\.", record["text"])
    assert record["seed"] == 0 and record["failure"] == "" and record["versions"]["numpy"]


def test_its_numbers_depend_on_its_id(tmp_path):
    found = walk(tmp_path)
    other = picture(PAPER, id="other-walk")(found.function)
    assert drawn(found).text != drawn(other).text
    assert drawn(found).text == drawn(found).text


def test_a_picture_goes_to_a_worker_by_its_file(tmp_path):
    found = walk(tmp_path)
    assert pickle.loads(pickle.dumps(found)) is found


def test_a_whole_paper_is_drawn_after_its_claims(clone, capsys):
    assert run("verify", "small-numbers", "--workers", "1") == 0
    assert "1 picture: results/<paper>/pictures" in capsys.readouterr().out
    assert Path("results/small-numbers/pictures/random-walk.svg").read_text().startswith("<?xml")


def test_a_single_claim_draws_none_and_a_single_picture_runs_none(clone, capsys):
    assert run("verify", "holds", "--workers", "1", "--no-figures") == 0
    assert not Path("results/small-numbers/pictures").exists()
    assert run("verify", "random-walk", "--seed", "3") == 0
    assert json.loads(Path("results/small-numbers/pictures/random-walk.json").read_text())["seed"] == 3
    assert run("verify", "--no-figures", "--results", "elsewhere", "--workers", "1") == 0
    assert not Path("elsewhere/small-numbers/pictures").exists()


def test_the_file_itself_draws_them(clone):
    assert cli.run_file(clone / "verify/small_numbers.py", ["--quiet", "--workers", "1"]) == 0
    assert Path("results/small-numbers/pictures/random-walk.svg").exists()


def test_list_and_show_know_them(clone, capsys):
    assert run("list", "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)["pictures"]
    assert entry == {
        "id": "small-numbers/random-walk",
        "paper": "small-numbers",
        "title": "A random walk leaves its start",
    }
    assert run("list") == 0
    assert "small-numbers/random-walk\n      A random walk leaves its start\n      picture" in capsys.readouterr().out
    assert run("show", "random_walk") == 0
    assert "theorylab verify small-numbers/random-walk" in capsys.readouterr().out
    assert run("show", "random-wolk") == 2
    assert "did you mean" in capsys.readouterr().err


def test_a_picture_that_fails_is_a_sentence_and_the_rest_stands(clone, capsys):
    picture_files.write(clone, "small-numbers", picture_files.BROKEN, picture_files.WALK)
    folder = Path("results/small-numbers/pictures")
    folder.mkdir(parents=True)
    (folder / "broken.svg").write_text("of an earlier run")
    assert run("verify", "--workers", "1") == 3
    out = capsys.readouterr().out
    said = re.sub(r"\s+", " ", out)
    assert "small-numbers/broken: not drawn: small_numbers.py, line " in said and "rank=9 exceeds d=5" in said
    assert "1 of 1 claims as expected" in out and "Traceback" not in out
    assert (folder / "random-walk.svg").exists() and not (folder / "broken.svg").exists()
    assert "rank=9" in json.loads((folder / "broken.json").read_text())["failure"]
    assert run("verify", "--workers", "1", "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert [bool(entry["failure"]) for entry in document["pictures"]] == [True, False]


def test_a_figure_of_a_claim_that_fails_is_a_sentence_too(clone, capsys, monkeypatch):
    def failing(*_: object) -> None:
        raise RuntimeError("no such font")

    monkeypatch.setattr("theorylab.plotting.draw", failing)
    assert run("verify", "holds", "--workers", "1") == 3
    out = capsys.readouterr().out
    assert "small-numbers/holds: its figure could not be drawn: RuntimeError: no such font" in out
    assert Path("results/small-numbers/holds.json").exists() and not Path("results/small-numbers/holds.svg").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return canvas()[0]", "return Drawing(figure, text)"),
        ("return Drawing(canvas()[0], ' ')", "must say with numbers"),
        ("return Drawing(canvas()[1], 'one')", "must be a matplotlib Figure"),
        ("f, (a,) = canvas(); a.plot(rng.random((40, 600))); return Drawing(f, 'x')", "draw fewer points"),
    ],
)
def test_what_a_picture_must_return(tmp_path, body, words):
    text = f'@picture(PAPER)\ndef odd(rng):\n    """Odd."""\n    {body}\n'
    (found,) = pictures_of(load_file(picture_files.write(tmp_path, "small-numbers", text)))
    assert words in save_picture(found, tmp_path)
    assert not (tmp_path / "small-numbers/pictures/odd.svg").exists()


def test_bad_declarations_are_refused(tmp_path):
    with pytest.raises(ClaimError, match="no docstring"):
        picture(PAPER, id="mute")(lambda rng: Drawing(Figure(), "x"))
    with pytest.raises(ClaimError, match="lower-case words"):
        picture(PAPER, id="Not So")(walk(tmp_path).function)
    twice = picture_files.WALK + "first = random_walk\n" + picture_files.WALK
    with pytest.raises(ClaimError, match="two pictures have this id"):
        pictures_of(load_file(picture_files.write(tmp_path, "twice", twice)))


def test_an_id_that_a_claim_has_is_refused(clone, capsys):
    picture_files.write(clone, "small-numbers", picture_files.WALK.replace("random_walk", "holds_too"), claims=(
        claim_files.HOLDS.replace("def holds", "def holds_too").replace("@small()", '@small(id="same")'),
        "same = holds_too",
    ))  # fmt: skip
    path = clone / "verify/small_numbers.py"
    path.write_text(path.read_text().replace("@picture(PAPER)", '@picture(PAPER, id="same")'))
    assert run("list") == 2
    assert "small-numbers/same: two claims or pictures have this id" in capsys.readouterr().err


def test_the_canvas_is_as_wide_as_the_figures_of_claims():
    figure, axes = canvas(2, 2, height=5)
    assert len(axes) == 4 and tuple(figure.get_size_inches()) == (9.0, 5.0)
