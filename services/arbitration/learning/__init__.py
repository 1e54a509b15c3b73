"""What the front door learns from its users' turns, and the guards that keep it from learning nonsense.

Reading order: `rewards` (did a turn end well?), `interactions` and `log` (what is kept of it), `mining` and
`publication` (rewrites), `exploration`, `off_policy` and `rollout` (rankers), `school` (all of it, wired into a
replica). Everything here runs beside a turn, never in it: what fails costs knowledge and nothing else.
"""
