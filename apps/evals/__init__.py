"""Eval sets and their revisions, scorers, runs, results, comparisons with a baseline including its tail, and gates.

An eval run is one pass of a prompt version and a model over one revision of an eval set. What is measured is pinned
when a run starts: the version's content, the revision, the scorers' versions. The thinking is in plain modules
(`scoring`, `stats`, `compare`, `gating`), which know no database.
"""
