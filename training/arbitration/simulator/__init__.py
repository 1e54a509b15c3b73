"""Made-up households, skills and turns, with lists of candidates as the platform makes them.

Reading order: `worlds` (who there is, and all assumptions about them), `turns` (what is said and how it is read),
`confusions` (the one part that is measured: how a classifier errs), `measure_confusions` (how that was measured).
"""
