"""The ways to score a list of candidates, behind `ranker.Ranker`; `judging` asks `choice.Rankers` for one.

Reading order: `matrix` (what a ranker sees), `ranker` (what it gives), `linear`, `boosted`, `recurrent`, `shortlisted`
(the ways), `loading` (from bundles), `choice`. Probabilities are made by `stages.calibrate`. How the weights were made
is in `training/arbitration`.
"""
