"""The promises in numbers: spend budgets with their alerts, alert rules on metrics, latency targets with their
evidence, and projections with their approval.

Everything is looked at on a schedule from what telemetry holds; telemetry never calls this app. What has to be said is
said by `alerts.services.notices.notify`, once for each key.
"""
