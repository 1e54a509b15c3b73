"""How the recognisers of spoken digits are made: the ConvRNN-T, and a plain RNN-T of equal size as its baseline.

    make train-torch-setup                       # torch in build/train-torch
    export ANTIPHON_DATA=...                     # holds audio/fsdd, audio/noise, audio/esc10, audio/asr-en/rir
    P=build/train-torch/bin/python
    $P -m training.asr_digits.pool               # features of augmented strings, about 300 MB in build/asr_digits
    $P -m training.asr_digits.train --held-out yweweler --network conv
    $P -m training.asr_digits.evaluate --held-out yweweler --network conv
    $P -m training.asr_digits.export --held-out yweweler

`data` makes strings of digits, `augment` changes them as rooms and voices would, `pool` keeps them as features,
`networks` are what is trained by `loss`, `scoring` counts the errors with their intervals.
"""
