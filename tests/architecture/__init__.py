"""Rules that a machine can check: what the import contracts in pyproject.toml cannot see."""
