"""How the recognisers of spoken digits are made: the ConvRNN-T, and a plain RNN-T of equal size as its baseline.

    make train-torch-setup                       # torch in build/train-torch
    export ANTIPHON_DATA=...                     # holds audio/fsdd, audio/noise, audio/esc10, audio/asr-en/rir
    P=build/train-torch/bin/python
    $P -m training.asr_digits.pool --strings 5000     # features of augmented strings, 700 MB in build/asr_digits
    $P -m training.asr_digits.train --held-out yweweler --network conv   # and lstm, the baseline; 10 to 20 minutes each
    $P -m training.asr_digits.evaluate conv-yweweler --blank-bias 1
    $P -m training.asr_digits.evaluate --table                            # all that was measured, and both compared
    $P -m training.asr_digits.export conv-yweweler --blank-bias 1         # -> services/asr/models/digits-conv

`data` makes strings of digits, `augment` changes them as rooms and voices would, `pool` keeps them as features,
`networks` are what `train` trains by `loss`, `kept` keeps them, `decoding` and `scoring` are how `evaluate` counts the
errors and their intervals.
"""

import services.runtime  # noqa: F401 - before onnxruntime is imported, whose telemetry it turns off
