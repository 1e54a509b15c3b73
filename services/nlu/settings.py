"""Settings of the understanding service; `app.py` reads them once with `runtime.settings.load`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NluSettings:
    """What an operator may change.

    Attributes:
        model: bundle that knows the conversation, clock and calculator in five languages, as publisher/name or
            publisher/name@version; further bundles come from ANTIPHON_MODELS.
        label_model: bundle that knows labels of public taxonomies, for English; empty serves without one.
        language_model: bundle that knows labels of a public taxonomy in many languages, asked where no model of the
            language itself was trained; empty serves without one, and without examples in requests.
        threads: inferences at once in this replica; one takes about 0.1 ms, more threads only help large batches.
        max_waiting: inferences that may wait for a thread before a call is refused.
        out_of_scope_threshold: probability, 0 to 1, from which on out of scope leads, unless a request names its own.
    """

    model: str = "antiphon/intents-thin"
    label_model: str = "antiphon/intents-en"
    language_model: str = "antiphon/intents-xsid"
    threads: int = 1
    max_waiting: int = 256
    out_of_scope_threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 64:
            raise ValueError(f"threads must be from 1 to 64, not {self.threads}")
        if not 0 <= self.max_waiting <= 100_000:
            raise ValueError(f"max_waiting must be from 0 to 100000, not {self.max_waiting}")
        if not 0 <= self.out_of_scope_threshold <= 1:
            raise ValueError(f"out_of_scope_threshold must be from 0 to 1, not {self.out_of_scope_threshold}")
