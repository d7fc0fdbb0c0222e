"""Pages of projects: the first run, the settings tabs, members, keys and the audit trail."""
