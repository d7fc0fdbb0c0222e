"""What the database itself sees to for splits: history is kept, arms belong together, and the live mark grows."""

from typing import ClassVar

from django.db import migrations

KEEP = """
CREATE FUNCTION prompts_split_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM projects_environment WHERE id = NEW.environment_id AND project_id = NEW.project_id)
        OR NOT EXISTS (SELECT FROM prompts_prompt WHERE id = NEW.prompt_id AND project_id = NEW.project_id) THEN
        RAISE EXCEPTION 'a split joins a prompt and an environment of one project'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prompts_split_guarded BEFORE INSERT ON prompts_split
    FOR EACH ROW EXECUTE FUNCTION prompts_split_guard();
CREATE TRIGGER prompts_split_kept BEFORE UPDATE OR DELETE ON prompts_split
    FOR EACH ROW EXECUTE FUNCTION prompts_deployment_keep();
CREATE TRIGGER prompts_split_marks AFTER INSERT OR UPDATE ON prompts_split
    FOR EACH ROW EXECUTE FUNCTION prompts_mark_live();

CREATE FUNCTION prompts_splitarm_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whole record;
    what record;
BEGIN
    SELECT prompt_id, ended_at INTO whole FROM prompts_split WHERE id = NEW.split_id;
    SELECT prompt_id INTO what FROM prompts_version WHERE id = NEW.version_id;
    IF what.prompt_id <> whole.prompt_id OR whole.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'an arm is a version of the prompt of a split that is open'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prompts_splitarm_guarded BEFORE INSERT ON prompts_splitarm
    FOR EACH ROW EXECUTE FUNCTION prompts_splitarm_guard();

CREATE FUNCTION prompts_splitarm_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner bigint;
BEGIN
    SELECT project_id INTO owner FROM prompts_version WHERE id = OLD.version_id;
    IF TG_OP = 'DELETE' AND current_setting('prodworthy.deleting_project', true) = owner::text THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the arms of a split never change: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER prompts_splitarm_kept BEFORE UPDATE OR DELETE ON prompts_splitarm
    FOR EACH ROW EXECUTE FUNCTION prompts_splitarm_keep();

-- At the end of the transaction that added arms, so that a split is whole and no arm joins it later.
CREATE FUNCTION prompts_split_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM prompts_split WHERE id = NEW.split_id) AND (
        SELECT coalesce(sum(weight), 0) <> 10000 OR coalesce(min(weight), 0) < 1 OR count(*) < 2
        FROM prompts_splitarm WHERE split_id = NEW.split_id
    ) THEN
        RAISE EXCEPTION 'the weights of the arms of a split add up to 10000'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER prompts_split_is_whole AFTER INSERT ON prompts_splitarm
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION prompts_split_whole();
"""
RELEASE = """
DROP TRIGGER prompts_split_is_whole ON prompts_splitarm;
DROP FUNCTION prompts_split_whole();
DROP TRIGGER prompts_splitarm_kept ON prompts_splitarm;
DROP FUNCTION prompts_splitarm_keep();
DROP TRIGGER prompts_splitarm_guarded ON prompts_splitarm;
DROP FUNCTION prompts_splitarm_guard();
DROP TRIGGER prompts_split_marks ON prompts_split;
DROP TRIGGER prompts_split_kept ON prompts_split;
DROP TRIGGER prompts_split_guarded ON prompts_split;
DROP FUNCTION prompts_split_guard();
"""


class Migration(migrations.Migration):
    """Triggers on splits and their arms."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("prompts", "0005_models_evidence_and_splits")]
    operations: ClassVar[list[migrations.RunSQL]] = [migrations.RunSQL(KEEP, RELEASE)]
