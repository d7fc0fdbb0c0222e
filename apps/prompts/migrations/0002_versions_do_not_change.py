"""What the database itself sees to: versions never change, history is kept, protected environments stay closed."""

from typing import ClassVar

from django.db import migrations

KEEP = """
CREATE FUNCTION prompts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A project that is deleted takes everything with it; whoever deletes it names it for this transaction.
    IF TG_OP = 'DELETE' AND current_setting('prodworthy.deleting_project', true) = OLD.project_id::text THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'a published version never changes: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER prompts_version_immutable BEFORE UPDATE OR DELETE ON prompts_version
    FOR EACH ROW EXECUTE FUNCTION prompts_refuse_change();

CREATE FUNCTION prompts_deployment_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('prodworthy.deleting_project', true) = OLD.project_id::text THEN
            RETURN OLD;
        END IF;
    ELSIF OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL
        AND (to_jsonb(NEW) - 'ended_at') = (to_jsonb(OLD) - 'ended_at') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the history of what was live is kept: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER prompts_deployment_kept BEFORE UPDATE OR DELETE ON prompts_deployment
    FOR EACH ROW EXECUTE FUNCTION prompts_deployment_keep();

CREATE FUNCTION prompts_deployment_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place record;
    what record;
BEGIN
    SELECT project_id, slug, is_protected INTO place FROM projects_environment WHERE id = NEW.environment_id;
    SELECT project_id, prompt_id INTO what FROM prompts_version WHERE id = NEW.version_id;
    IF place.project_id <> NEW.project_id OR what.project_id <> NEW.project_id OR what.prompt_id <> NEW.prompt_id THEN
        RAISE EXCEPTION 'a deployment joins a version and an environment of one project and prompt'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF place.is_protected OR place.slug = 'production' THEN
        RAISE EXCEPTION 'the environment % is protected: it takes promotions only', place.slug
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prompts_deployment_guarded BEFORE INSERT ON prompts_deployment
    FOR EACH ROW EXECUTE FUNCTION prompts_deployment_guard();

CREATE FUNCTION prompts_mark_live() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO prompts_livemark (project_id, number) VALUES (NEW.project_id, 1)
        ON CONFLICT (project_id) DO UPDATE SET number = prompts_livemark.number + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER prompts_deployment_marks AFTER INSERT OR UPDATE ON prompts_deployment
    FOR EACH ROW EXECUTE FUNCTION prompts_mark_live();
CREATE TRIGGER prompts_prompt_marks AFTER INSERT OR UPDATE OF name, former_names, archived_at ON prompts_prompt
    FOR EACH ROW EXECUTE FUNCTION prompts_mark_live();
"""
RELEASE = """
DROP TRIGGER prompts_prompt_marks ON prompts_prompt;
DROP TRIGGER prompts_deployment_marks ON prompts_deployment;
DROP FUNCTION prompts_mark_live();
DROP TRIGGER prompts_deployment_guarded ON prompts_deployment;
DROP FUNCTION prompts_deployment_guard();
DROP TRIGGER prompts_deployment_kept ON prompts_deployment;
DROP FUNCTION prompts_deployment_keep();
DROP TRIGGER prompts_version_immutable ON prompts_version;
DROP FUNCTION prompts_refuse_change();
"""


class Migration(migrations.Migration):
    """Triggers on versions, deployments and prompts."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("prompts", "0001_prompts_and_versions")]
    operations: ClassVar[list[migrations.RunSQL]] = [migrations.RunSQL(KEEP, RELEASE)]
