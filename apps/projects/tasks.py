"""Scheduled work for projects."""

import logging

from celery import shared_task

from apps.projects import audit

log = logging.getLogger(__name__)


@shared_task(name="projects.verify_audit")
def verify_audit(**_newer: object) -> None:
    """Verify every audit chain. The ends are logged, so that a rewritten chain can be told from the true one."""
    for report in audit.verify():
        chain = "the installation" if report.project_id is None else f"project {report.project_id}"
        if report.problems:
            log.error("the audit trail of %s is broken: %s", chain, "; ".join(report.problems))
        else:
            log.info("the audit trail of %s is whole: %d entries, end %s", chain, report.entries, report.end_hash)
