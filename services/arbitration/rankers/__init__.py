"""The ways to score a list of candidates, behind `Ranker`; the stage that ranks calls one of them."""
