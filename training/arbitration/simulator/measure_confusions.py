"""How a classifier of intents really errs, for the simulator: readings of sentences that it was not trained on.

    ANTIPHON_DATA=... python -m training.arbitration.simulator.measure_confusions   # a minute; confusions.npz

TF-IDF of words and pairs with logistic regression over the 60 intents of MASSIVE and "out of scope", on HWU64 (Liu et
al. 2019, CC BY 4.0) and on the sentences of CLINC150 `train` and `oos_train` (Larson et al. 2019, CC BY 3.0) that none
of the 60 covers, in three folds: each sentence is read by a model that has not seen it. Only probabilities are kept, no
words. It errs a little more than the model that is served, and is about as sure of itself as it may be.
"""

from __future__ import annotations

import random

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from training.arbitration.simulator.confusions import FILE, KEPT
from training.nlu_intents.data import MASSIVE, OUT_OF_SCOPE, load

SEED = 1
IN_SCOPE, OUTSIDE = 9_000, 3_000
FOLDS = 3


def main() -> None:
    labelled = [(" ".join(one.words), one.massive) for one in load(SEED).train if one.massive]
    rng = random.Random(SEED)
    rng.shuffle(labelled)
    inside = [one for one in labelled if one[1] != OUT_OF_SCOPE][:IN_SCOPE]
    outside = [one for one in labelled if one[1] == OUT_OF_SCOPE][:OUTSIDE]
    names = (*MASSIVE, OUT_OF_SCOPE)
    texts = [text for text, _ in (*inside, *outside)]
    truth = np.array([names.index(label) for _, label in (*inside, *outside)])
    read = np.zeros((len(texts), len(names)))
    for fitted, held in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(texts, truth):
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        known = words.fit_transform([texts[number] for number in fitted])
        model = LogisticRegression(C=20.0, max_iter=60)
        model.fit(known, truth[fitted])
        read[np.ix_(held, model.classes_)] = model.predict_proba(words.transform([texts[number] for number in held]))
    order = np.argsort(-read[:, :-1], axis=1)[:, :KEPT]
    np.savez_compressed(
        FILE,
        truth=truth.astype(np.int8),
        labels=order.astype(np.int8),
        probabilities=np.take_along_axis(read, order, axis=1).astype(np.float16),
        outside=read[:, -1].astype(np.float16),
        names=np.array(names),
    )
    right = read.argmax(axis=1) == truth
    print(f"{len(truth)} sentences, {right.mean():.3f} right, mean of the highest {read.max(axis=1).mean():.3f}")


if __name__ == "__main__":
    main()
