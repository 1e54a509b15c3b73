"""The front door: it hears a turn through, decides who answers it, and explains why.

Reading order: `hypotheses` (the nouns), `budgets` (how long anything may take), `stages` and `rankers` (how a decision
comes about; `judging` runs them), `speculation`, `answering` and `turn` (one turn), `conversation` (turns in a row).
`ports` says what a turn needs of the other capabilities; only the servicer's side knows that these are gRPC services.
"""
