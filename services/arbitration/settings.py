"""Settings of the front door, read by `app.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.arbitration.devices.policies import WINDOW_SECONDS, Policy
from services.arbitration.rankers.choice import RankerKind


@dataclass(frozen=True)
class ArbitrationSettings:
    """What a deployment may change.

    Attributes:
        locales: languages in which the dialogue service answers for the conversation itself; BCP-47 tags.
        activation: listen with the activation service beside recognition. Off where no device needs it: it costs a
            stream per utterance.
        usual_silence: seconds of silence that end an utterance, where the client does not say.
        open_silence: the same behind a complete request that could still go on ("what time is it" ... "in Rome").
        short_silence: the same behind a request with nothing left to say.
        learning_log: where the interaction log is kept: a folder, any URL of fsspec, or "state" for a folder beside the
            platform's state; empty keeps none. It holds no audio, and words only of users who agreed.
        learning_key: secret that pseudonyms in the log are made with; empty makes one and keeps it in the store.
        learning_days: days after which the log's rows are removed.
        exploration: share of turns with close, harmless candidates in which another than the best is executed, 0 to
            0.02. Only while there is a log to learn from.
        ranker: how candidates are scored where a request does not say: "linear", "lambda_mart", "bi_lstm" or
            "shortlist" (the shortlister's order as it is).
        claim_policy: which of several devices that heard the wake word answers, where none of them says: "first",
            "score" (waits for all) or "late_revoke" (the first, until a better one is there).
        claim_window: seconds that "score" waits for other devices' claims, 0.02 to 1.
        learned_weights: the linear ranker has the weights of its bundle, which were learned from simulated households;
            False: those set by hand.
    """

    locales: tuple[str, ...] = ("en", "de", "es", "fr", "it")
    activation: bool = True
    # With these, 2 of 80 recorded orders of real people were cut early; `python -m benchmarks turns` measures it. They
    # were chosen on those recordings.
    usual_silence: float = 0.35
    open_silence: float = 0.3
    short_silence: float = 0.15
    learning_log: str = ""
    learning_key: str = field(default="", repr=False)
    learning_days: int = 90
    exploration: float = 0.015
    ranker: str = "linear"
    learned_weights: bool = True
    claim_policy: str = Policy.SCORE.value
    claim_window: float = WINDOW_SECONDS

    def __post_init__(self) -> None:
        for name in ("usual_silence", "open_silence", "short_silence"):
            if not 0.1 <= getattr(self, name) <= 5.0:
                raise ValueError(f"{name} must be from 0.1 to 5 s, not {getattr(self, name)}")
        if not 0.0 <= self.exploration <= 0.02:
            raise ValueError(f"exploration must be from 0 to 0.02, not {self.exploration}")
        if self.ranker.upper() not in RankerKind.__members__:
            raise ValueError(f"ranker must be one of {', '.join(kind.lower() for kind in RankerKind)}")
        if self.claim_policy not in set(Policy):
            raise ValueError(f"claim_policy must be one of {', '.join(Policy)}")
        if not 0.02 <= self.claim_window <= 1.0:
            raise ValueError(f"claim_window must be from 0.02 to 1 s, not {self.claim_window}")
        if self.learning_days < 1:
            raise ValueError("learning_days must be 1 or more")
