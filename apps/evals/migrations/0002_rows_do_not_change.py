"""What the database itself sees to: examples, versions of scorers and gate reports do not change once they are made."""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation

KEEP = """
CREATE FUNCTION evals_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A project that is deleted takes everything with it; whoever deletes it names it for this transaction.
    IF TG_OP = 'DELETE' AND current_setting('prodworthy.deleting_project', true) = OLD.project_id::text THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% of % refused: it never changes', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER evals_scorerversion_immutable BEFORE UPDATE OR DELETE ON evals_scorerversion
    FOR EACH ROW EXECUTE FUNCTION evals_refuse_change();
CREATE TRIGGER evals_gatereport_immutable BEFORE UPDATE OR DELETE ON evals_gatereport
    FOR EACH ROW EXECUTE FUNCTION evals_refuse_change();
CREATE TRIGGER evals_revision_immutable BEFORE UPDATE OR DELETE ON evals_revision
    FOR EACH ROW EXECUTE FUNCTION evals_refuse_change();

CREATE FUNCTION evals_example_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('prodworthy.deleting_project', true) = OLD.project_id::text THEN
            RETURN OLD;
        END IF;
    ELSIF OLD.until IS NULL AND NEW.until IS NOT NULL AND (to_jsonb(NEW) - 'until') = (to_jsonb(OLD) - 'until') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an example never changes, a change is another row: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER evals_example_kept BEFORE UPDATE OR DELETE ON evals_example
    FOR EACH ROW EXECUTE FUNCTION evals_example_keep();
"""
UNDO = """
DROP TRIGGER evals_example_kept ON evals_example;
DROP FUNCTION evals_example_keep();
DROP TRIGGER evals_revision_immutable ON evals_revision;
DROP TRIGGER evals_gatereport_immutable ON evals_gatereport;
DROP TRIGGER evals_scorerversion_immutable ON evals_scorerversion;
DROP FUNCTION evals_refuse_change();
"""


class Migration(migrations.Migration):
    """Triggers; an index, a form or a service could be gone round."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("evals", "0001_evals")]

    operations: ClassVar[list[Operation]] = [migrations.RunSQL(KEEP, UNDO)]
