"""The database itself refuses to change, delete or empty the audit trail."""

from typing import ClassVar

from django.db import migrations

REFUSE = """
CREATE FUNCTION projects_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER projects_audit_append_only BEFORE UPDATE OR DELETE ON projects_auditentry
    FOR EACH ROW EXECUTE FUNCTION projects_audit_refuse();
CREATE TRIGGER projects_audit_not_emptied BEFORE TRUNCATE ON projects_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION projects_audit_refuse();
"""
ALLOW = """
DROP TRIGGER projects_audit_not_emptied ON projects_auditentry;
DROP TRIGGER projects_audit_append_only ON projects_auditentry;
DROP FUNCTION projects_audit_refuse();
"""


class Migration(migrations.Migration):
    """Triggers on the table of audit entries."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("projects", "0001_projects_and_members")]
    operations: ClassVar[list[migrations.RunSQL]] = [migrations.RunSQL(REFUSE, ALLOW)]
