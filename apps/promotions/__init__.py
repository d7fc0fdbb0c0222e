"""What is live where, and the evidence that let it: release rules, promotions, approvals, rollbacks, drills, what is
watched afterwards, and experiments.

A candidate is a version of a prompt on a model. Gates and their reports belong to evals; a promotion asks for a report,
binds an approval to it, and makes the candidate live by `prompts.deploy`. The database checks the same once more.
"""
