"""English with the phrases of all built-in skills, as users get it: heard better than without, and in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.runtime.model_store import read_definition
from training.asr_commands.evaluate import in_other_words, measured, synthetic
from training.asr_commands.train import OUT
from training.asr_languages.sessions import built_in_grammar, with_grammar

pytestmark = pytest.mark.data

_LATEST_FINAL_MS = 60.0  # of CPU; 13 at the 95th percentile


def test_commands_in_other_words(tmp_path: Path) -> None:
    clips = synthetic(tmp_path, "c", in_other_words()[:12])
    given = measured(with_grammar(OUT, built_in_grammar("en"), tmp_path), clips)
    assert given.errors <= given.words / 4
    assert given.exact >= 4
    assert max(given.final_ms) < _LATEST_FINAL_MS


def test_beams_with_phrases_are_the_models_own() -> None:
    bundles = [
        PocketsphinxBundle.open(read_definition(OUT.parent / f"{language}-commands" / "model.yaml"))
        for language in ("en", "fr")
    ]
    english, french = (bundle.session_decoder for bundle in bundles)
    assert not english
    assert french["beam"] == 1e-55
