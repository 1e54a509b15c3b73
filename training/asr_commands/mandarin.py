"""Makes a bundle of the Mandarin model of CMU Sphinx: `python -m training.asr_commands.mandarin FOLDER`.

The model's files are in $ANTIPHON_DATA (models/asr-zh-pocketsphinx, BSD); they are copied, not committed. A pool serves
them with `ANTIPHON_MODELS=FOLDER` and the setting `models: {zh: cmusphinx/zh-broadcast}`. The acoustic model hears 0 to
4 kHz, so it serves telephone speech too; the language model knows 5,000 words and pairs of them.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pocketsphinx
import yaml

_SOURCE = Path("models") / "asr-zh-pocketsphinx"
# Mean cepstra of the training clips of audio/azure9/zh-CN, at the level to which utterances are brought.
_FEATURE_MEAN = [44.0, -3.2, 1.0, -1.7, -1.6, -2.1, -1.6, -0.8, -0.5, -0.7, -0.7, -0.5, 0.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    build(Path(os.environ.get("ANTIPHON_DATA", "../shared/data")), parser.parse_args().folder)


def build(data: Path, folder: Path) -> Path:
    """Writes the bundle below `folder`; returns where."""
    source, target = data / _SOURCE, folder / "zh-broadcast"
    target.mkdir(parents=True, exist_ok=True)
    acoustic = target / "acoustic"
    acoustic.mkdir(exist_ok=True)
    for file in (source / "tdt_sc_8k").iterdir():
        (acoustic / file.name).write_bytes(file.read_bytes())
    (target / "words.dict").write_bytes((source / "mandarin_notone.dic").read_bytes())
    model = target / "model.lm.bin"
    with tempfile.TemporaryDirectory() as temporary:
        text = Path(temporary) / "model.arpa"
        with gzip.open(source / "zh.bigram.arpa.gz") as packed, text.open("wb") as out:
            shutil.copyfileobj(packed, out)
        config = pocketsphinx.Config()
        log = pocketsphinx.LogMath(config["logbase"])
        pocketsphinx.NGramModel(config, log, str(text)).write(str(model))
    definition = {
        "publisher": "cmusphinx",
        "name": "zh-broadcast",
        "version": "1",
        "file": model.name,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "licence": "BSD-2-Clause",
        "locales": ["zh"],
        "inputs": [],
        "outputs": [],
        "parameters": {
            "description": "Mandarin of CMU Sphinx: bigrams of 5,000 words over an acoustic model of 8 kHz speech.",
            "acoustic_model": acoustic.name,
            "language_model": model.name,
            "dictionary": "words.dict",
            "decoder": {"lw": 9.0, "fwdflat": False, "maxhmmpf": 5000},
            "feature_mean": _FEATURE_MEAN,
        },
    }
    (target / "model.yaml").write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    return target


if __name__ == "__main__":
    main()
