"""Hosts the skills that are installed here: the built-in ones, and any distribution's that offers an entry point.

A skill in this process is reached as any other, over `SkillService`; what it costs to be found is one line in the group
`antiphon.skills` of its `pyproject.toml`.
"""
