"""What the database itself sees to for experiments: approved arms only, and a plan that stays as it was started."""

from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

KEEP = """
CREATE FUNCTION promotions_splitarm_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whole record;
BEGIN
    SELECT s.prompt_id, s.environment_id, e.slug, e.is_protected INTO whole
        FROM prompts_split s JOIN projects_environment e ON e.id = s.environment_id WHERE s.id = NEW.split_id;
    IF NOT (whole.is_protected OR whole.slug = 'production') THEN
        RETURN NEW;
    END IF;
    IF NEW.evidence_kind = 'promotion' AND EXISTS (
        SELECT FROM promotions_promotion p JOIN prompts_version v ON v.id = NEW.version_id
        WHERE p.uuid = NEW.evidence_id AND p.prompt_id = whole.prompt_id AND p.environment_id = whole.environment_id
            AND p.version_id = NEW.version_id AND p.model = NEW.model AND p.state IN ('approved', 'live')
            AND p.content_hash = v.content_hash
    ) THEN
        RETURN NEW;
    END IF;
    IF NEW.evidence_kind = 'return' AND EXISTS (
        SELECT FROM prompts_deployment d
        WHERE d.uuid = NEW.evidence_id AND d.prompt_id = whole.prompt_id AND d.environment_id = whole.environment_id
            AND d.version_id = NEW.version_id AND d.model = NEW.model
    ) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the environment % is protected: an arm there is approved, or was live there', whole.slug
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER promotions_splitarm_guarded BEFORE INSERT ON prompts_splitarm
    FOR EACH ROW EXECUTE FUNCTION promotions_splitarm_guard();

CREATE FUNCTION promotions_experiment_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := ARRAY['name', 'hypothesis', 'state', 'step', 'planned_subjects', 'winner_id', 'promotion_id',
        'stop_reason', 'ended_at', 'counted_until', 'counted_at'];
BEGIN
    IF OLD.state = 'draft' OR current_setting('prodworthy.deleting_project', true) = OLD.project_id::text THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'UPDATE' AND (to_jsonb(NEW) - free) = (to_jsonb(OLD) - free)
        AND (NEW.state = OLD.state OR (OLD.state = 'running' AND NEW.state IN ('stopped', 'finished'))) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an experiment that was started keeps its plan: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER promotions_experiment_kept BEFORE UPDATE OR DELETE ON promotions_experiment
    FOR EACH ROW EXECUTE FUNCTION promotions_experiment_keep();

CREATE FUNCTION promotions_experimentarm_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whole record;
    home bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        home := NEW.experiment_id;
    ELSE
        home := OLD.experiment_id;
    END IF;
    -- Locked, so that nobody starts it meanwhile.
    SELECT project_id, state INTO whole FROM promotions_experiment WHERE id = home FOR SHARE;
    IF TG_OP = 'UPDATE' AND NEW.experiment_id <> OLD.experiment_id THEN
        RAISE EXCEPTION 'an arm stays in its experiment' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF whole.state IS NULL OR whole.state = 'draft'
        OR (TG_OP = 'DELETE' AND current_setting('prodworthy.deleting_project', true) = whole.project_id::text) THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'the arms of an experiment that was started never change: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER promotions_experimentarm_kept BEFORE INSERT OR UPDATE OR DELETE ON promotions_experimentarm
    FOR EACH ROW EXECUTE FUNCTION promotions_experimentarm_keep();
"""
RELEASE = """
DROP TRIGGER promotions_experimentarm_kept ON promotions_experimentarm;
DROP FUNCTION promotions_experimentarm_keep();
DROP TRIGGER promotions_experiment_kept ON promotions_experiment;
DROP FUNCTION promotions_experiment_keep();
DROP TRIGGER promotions_splitarm_guarded ON prompts_splitarm;
DROP FUNCTION promotions_splitarm_guard();
"""


class Migration(migrations.Migration):
    """Triggers on arms and experiments, and whether a broken sample ratio ends one."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("promotions", "0004_rollbacks")]
    operations: ClassVar[list[Operation]] = [
        migrations.AddField(
            model_name="experiment",
            name="stops_on_mismatch",
            field=models.BooleanField(default=True),
        ),
        migrations.RunSQL(KEEP, RELEASE),
    ]
