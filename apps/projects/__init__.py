"""Projects, environments, features, members and roles, API keys, guarded access and the audit trail.

`access` is the only way from a request to a project. `audit` writes inside the caller's transaction.
"""
