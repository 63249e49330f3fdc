"""The quick budget of every published claim: one test a claim, one a control, one a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from theorylab.claims import claims_of, load_file
from theorylab.pictures import pictures_of, save_picture
from theorylab.runner import run

FILES = sorted((Path(__file__).resolve().parents[1] / "verify").glob("*.py"))
CLAIMS = [claim for path in FILES for claim in claims_of(load_file(path))]
CONTROLS = [(claim, control) for claim in CLAIMS for control in claim.controls]
PICTURES = [picture for path in FILES for picture in pictures_of(load_file(path))]
pytestmark = pytest.mark.claims


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """All claims and controls, run once with the default seed."""
    found = run(CLAIMS, folder=tmp_path_factory.mktemp("results"))
    return {result.id: result for result in found}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_claim_has_the_expected_verdict(claim, results):
    result = results[claim.id]
    said = "; ".join([e.sentence for e in result.arm.evidence] + [f.message for f in result.arm.failures])
    assert result.arm.verdict is claim.expected, said


@pytest.mark.parametrize(
    ("claim", "control"), CONTROLS, ids=lambda part: getattr(part, "id", getattr(part, "name", ""))
)
def test_control_is_refuted(claim, control, results):
    result = results[claim.id]
    (arm,) = (arm for arm in result.controls if arm.name == control.name)
    said = "; ".join([e.sentence for e in arm.evidence] + [f.message for f in arm.failures])
    assert result.refuted(arm), f"{arm.verdict.value}: {said}"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.id)
def test_picture_is_drawn(picture, tmp_path):
    assert save_picture(picture, tmp_path) == ""
