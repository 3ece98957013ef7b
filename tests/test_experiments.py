"""What the experiments measured: stored by full runs, shown by notebooks, gathered on one page."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnlab import experiments


def test_the_page_of_claims_is_what_the_stored_results_say() -> None:
    assert experiments.PAGE.read_text(encoding="utf-8") == experiments.claims_page()


def test_every_stored_result_comes_from_at_least_five_seeds_and_holds_numbers() -> None:
    results = [claim for path in sorted(experiments.RESULTS.glob("*.json")) for claim in experiments.stored(path)]
    assert len(results) >= 20
    for claim in results:
        assert claim.seeds >= 5, claim.name
        assert any(letter.isdigit() for letter in claim.measured), claim.name
        assert claim.agrees in ("yes", "partly", "no")
        assert claim.seconds > 0 and claim.source


def test_a_full_run_stores_a_result_and_a_quick_run_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiments, "RESULTS", tmp_path / "results")
    monkeypatch.setenv(experiments.FULL, "1")
    for measured in ("first 1", "second 2"):
        assert experiments.seeds(quick=3, full=7) == 7
        experiments.record("99/one", claim="A | B", source="lecture", measured=measured, agrees=1 < 2, seeds=7)
    experiments.record("99/two", claim="C", source="lecture", measured="third 3", agrees=2 < 1, seeds=7)
    kept = experiments.stored(tmp_path / "results" / "99.json")
    assert [(claim.name, claim.measured, claim.agrees) for claim in kept] == [
        ("99/one", "second 2", "yes"),
        ("99/two", "third 3", "no"),
    ]
    assert "| A \\| B | lecture | second 2 (7 seeds" in experiments.claims_page()

    monkeypatch.delenv(experiments.FULL)
    assert experiments.seeds(quick=3, full=7) == 3
    capsys.readouterr()
    experiments.record("99/one", claim="A", source="lecture", measured="quick 9", agrees="partly", seeds=3)
    said = capsys.readouterr().out
    assert "Measured here (3 seeds" in said and "quick 9" in said
    assert "The course's run (7 seeds): second 2" in said
    assert experiments.stored(tmp_path / "results" / "99.json") == kept
