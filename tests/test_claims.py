"""Claims refuse what is not well formed, with a sentence that names the value and the remedy."""

from __future__ import annotations

import pickle

import pytest

from theorylab.audit import by_construction
from theorylab.claims import Claim, ClaimError, Control, Paper, Replicates, Sweep, claim, claims_of, load_file
from theorylab.judges import EveryRun, RateAtMost, WithProbability
from theorylab.verdicts import Guarantee, Mode, Verdict

PAPER = Paper(slug="made-up", title="A made-up paper", authors="Nobody", reference="none")
FIELDS = {
    "source": "Theorem 1",
    "guarantee": "upper bound",
    "sweep": Sweep(name="n", label="size", quick=(1, 2), full=(1, 2, 4)),
    "replicates": Replicates(quick=4, full=8),
    "judges": EveryRun(measured="error", at_most="bound"),
    "controls": [Control("wrong sign", sign=-1.0)],
    "hypotheses": {"finite": "the instance is finite"},
}


def experiment(n, rng, *, sign=1.0):
    """The error is at most the bound."""
    return {"error": sign * 0.0, "bound": 1.0 / n, "finite": by_construction("a number")}


def test_a_claim_knows_its_theorem():
    made = claim(PAPER, **FIELDS)(experiment)
    assert made.id == "made-up/experiment"
    assert made.title == "The error is at most the bound"
    assert made.guarantee is Guarantee.UPPER
    assert made.mode is Mode.EVERY_RUN
    assert made.expected is Verdict.UPHELD
    assert made.control_verdict is Verdict.VIOLATED
    assert made.arms() == {"": {}, "wrong sign": {"sign": -1.0}}


def test_the_control_of_a_statement_that_fails_is_the_case_in_which_it_holds():
    made = claim(PAPER, **FIELDS, expected="violated", reason="fails at kinks")(experiment)
    assert made.control_verdict is Verdict.UPHELD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"controls": []}, "a check that cannot fail is no check"),
        ({"controls": [Control("a", sign=1), Control("a", sign=2)]}, "repeat a name"),
        ({"controls": [Control("typo", sgin=-1.0)]}, r"sets 'sgin'; keyword settings are \['sign'\]"),
        ({"source": " "}, "source=' ' is empty"),
        ({"judges": []}, "decides nothing"),
        ({"expected": "maybe"}, "expected='maybe' must be one of"),
        ({"expected": "violated"}, "needs a reason"),
        ({"id": "Bad Id"}, "id='Bad Id' must be lower-case"),
        (
            {"replicates": Replicates(quick=2, full=8), "judges": RateAtMost(measured="error", rate=-1)},
            "quick=2 is too few",
        ),
        ({"judges": WithProbability(measured="error", at_most=1, delta=0.05)}, "needs at least 72"),
    ],
)
def test_an_ill_formed_claim_is_refused(change, message):
    with pytest.raises(ClaimError, match=message):
        claim(PAPER, **(FIELDS | change))(experiment)


def test_a_claim_without_a_statement_is_refused():
    def silent(n, rng, *, sign=1.0):
        return {}

    with pytest.raises(ClaimError, match="the docstring is the theorem"):
        claim(PAPER, **FIELDS)(silent)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Replicates(quick=0, full=8), "replicates quick=0"),
        (lambda: Replicates(quick=4, full=2.5), "replicates full=2.5"),
        (lambda: Sweep(name="n", label="n", quick=(), full=(1,)), "at least one value"),
        (lambda: Sweep(name="n", label="n", quick=(1, 1), full=(1,)), "repeats a value"),
        (lambda: Sweep(name="n", label="n", quick=(float("nan"),), full=(1,)), "must be finite"),
        (lambda: Sweep(name="n", label="n", quick=([1],), full=(1,)), "list|unhashable"),
        (lambda: Control("nothing changes"), "at least one setting"),
        (lambda: Paper(slug="Not A Slug", title="", authors="", reference=""), "slug='Not A Slug'"),
    ],
)
def test_ill_formed_parts_are_refused(make, message):
    with pytest.raises((ClaimError, TypeError), match=message):
        make()


CLAIM_FILE = '''
"""A file of claims."""
from theorylab.audit import by_construction
from theorylab.claims import Control, Paper, Replicates, Sweep, claim
from theorylab.judges import EveryRun

PAPER = Paper(slug="tiny", title="Tiny", authors="Nobody", reference="none")


@claim(
    PAPER,
    source="Theorem 1",
    guarantee="upper bound",
    sweep=Sweep(name="n", label="size", quick=(1, 2), full=(1, 2)),
    replicates=Replicates(quick=1, full=1),
    judges=EveryRun(measured="error", at_most=1.0),
    controls=[Control("too large", scale=3.0)],
    hypotheses={"finite": "a number"},
)
def small(n, rng, *, scale=1.0):
    """The error is small."""
    return {"error": scale * rng.random(), "finite": by_construction("drawn in [0, 1)")}
'''


def test_a_file_of_claims_loads_once_and_its_claims_pickle_by_place(tmp_path):
    path = tmp_path / "verify" / "tiny.py"
    path.parent.mkdir()
    path.write_text(CLAIM_FILE)
    module = load_file(path)
    assert load_file(path) is module
    (found,) = claims_of(module)
    assert isinstance(found, Claim)
    shipped = pickle.dumps(found)
    assert len(shipped) < 500, "a claim travels as file and id, not by value"
    assert pickle.loads(shipped) is found


def test_two_claims_with_one_id_are_refused(tmp_path):
    path = tmp_path / "twice.py"
    body = CLAIM_FILE[CLAIM_FILE.index("@claim") :]
    body = body.replace("def small", "def other").replace("hypotheses=", 'id="small",\n    hypotheses=')
    path.write_text(CLAIM_FILE + "\n\n" + body)
    with pytest.raises(ClaimError, match=r"tiny/small: two claims have this id \(small and other\)"):
        claims_of(load_file(path))


def test_a_missing_file_is_named():
    with pytest.raises(ClaimError, match=r"nowhere\.py' is not a file of claims"):
        load_file("nowhere.py")
