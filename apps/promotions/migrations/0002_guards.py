"""What the database itself sees to: who may be live in a protected environment, and on what evidence.

Whoever writes rows past the services meets the same rules: no gate without a passed report on that content, no decision
by whoever wrote or asked, no way into production but a promotion or a return to what a promotion had let in.
"""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation

# --- What a promotion needs ---------------------------------------------------------------------------------

NEEDS = """
CREATE FUNCTION promotions_refuse(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', what USING ERRCODE = 'insufficient_privilege';
END $$;

-- A project that is deleted takes everything with it; whoever deletes it names it for this transaction.
CREATE FUNCTION promotions_is_going(project bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('prodworthy.deleting_project', true), '') = project::text
$$;

-- The role of somebody whose account is switched on; NULL for anybody else.
CREATE FUNCTION promotions_role(person bigint, project bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT m.role FROM projects_membership m JOIN accounts_user u ON u.id = m.user_id
    WHERE m.user_id = person AND m.project_id = project AND u.is_active
$$;

-- Why the report lets no check of this promotion pass; NULL when it does.
CREATE FUNCTION promotions_report_fault(p promotions_promotion, gate bigint, report bigint)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN r.id IS NULL THEN 'there is no report'
        WHEN r.gate_id <> gate OR r.project_id <> p.project_id THEN 'the report is of another gate'
        WHEN r.verdict <> 'passed' THEN 'the report says ' || r.verdict
        WHEN jsonb_array_length(coalesce(r.conditions->'conditions', '[]')) = 0
            OR EXISTS (SELECT 1 FROM jsonb_array_elements(r.conditions->'conditions') c WHERE c->>'state' <> 'passed')
            THEN 'not every condition of the report is met'
        WHEN r.bound_to->>'content' IS DISTINCT FROM p.content_hash OR run.content_hash <> p.content_hash
            THEN 'the report is about another content'
        WHEN p.model <> '' AND (r.bound_to->>'model' IS DISTINCT FROM p.model OR run.model <> p.model)
            THEN 'the report is about another model'
        WHEN run.kind <> 'model' THEN 'its outputs were brought along, and prove no content'
        WHEN run.state <> 'finished' OR run.with_drafts OR run.slices <> '[]' THEN 'the run is not a whole one'
        WHEN run.total < (r.config->>'minimum_examples')::int * run.repetitions THEN 'the run has too few examples'
    END
    FROM (SELECT) AS nothing
    LEFT JOIN evals_gatereport r ON r.id = report
    LEFT JOIN evals_evalrun run ON run.id = r.run_id
$$;

-- Every gate of the rule has passed on this content, by the conditions and the examples of now.
CREATE FUNCTION promotions_require_gates(p promotions_promotion) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rule record;
    one record;
BEGIN
    SELECT r.* INTO rule FROM promotions_releaserule r JOIN prompts_prompt t ON t.id = p.prompt_id
        WHERE r.id = p.rule_id AND r.project_id = p.project_id AND r.environment_id = p.environment_id
        AND (r.prompt_id = p.prompt_id OR r.prompt_id IS NULL AND r.feature IN ('', t.feature));
    IF rule IS NULL THEN
        PERFORM promotions_refuse('there is no release rule for this promotion');
    END IF;
    IF NOT EXISTS (SELECT 1 FROM promotions_promotioncheck WHERE promotion_id = p.id)
        OR NOT EXISTS (SELECT 1 FROM promotions_releaserule_gates WHERE releaserule_id = rule.id) THEN
        PERFORM promotions_refuse('no gate was passed');
    END IF;
    IF EXISTS (SELECT 1 FROM promotions_releaserule_gates g WHERE g.releaserule_id = rule.id AND g.gate_id NOT IN
        (SELECT gate_id FROM promotions_promotioncheck WHERE promotion_id = p.id)) THEN
        PERFORM promotions_refuse('a gate of the release rule was not asked');
    END IF;
    FOR one IN
        SELECT c.state, g.slug, g.archived_at, g.config_hash, r.bound_to, head.content_hash AS examples,
            promotions_report_fault(p, c.gate_id, c.report_id) AS fault
        FROM promotions_promotioncheck c
        JOIN evals_gate g ON g.id = c.gate_id
        JOIN evals_evalset s ON s.id = g.eval_set_id
        LEFT JOIN evals_gatereport r ON r.id = c.report_id
        LEFT JOIN evals_revision head ON head.eval_set_id = s.id AND head.number = s.head
        WHERE c.promotion_id = p.id
    LOOP
        IF one.state <> 'passed' OR one.fault IS NOT NULL THEN
            PERFORM promotions_refuse(format('the gate %s was not passed: %s', one.slug, coalesce(one.fault, one.state)));
        ELSIF one.archived_at IS NOT NULL OR one.bound_to->>'conditions' IS DISTINCT FROM one.config_hash
            OR one.bound_to->>'revision' IS DISTINCT FROM one.examples THEN
            PERFORM promotions_refuse(format('the gate %s, or its examples, changed since it was passed', one.slug));
        END IF;
    END LOOP;
END $$;

-- Enough people approved who have a say now, and none of them wrote it or asked for it.
CREATE FUNCTION promotions_require_approvals(p promotions_promotion) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    writer bigint;
    needed integer := 1;
    approvals integer;
BEGIN
    SELECT author_id INTO writer FROM prompts_version WHERE id = p.version_id;
    IF p.kind = 'promotion' THEN
        SELECT greatest(1, (p.rule_said->>'approvals_needed')::int, max(r.approvals_needed)) INTO needed
            FROM promotions_releaserule r WHERE r.id = p.rule_id;
    ELSIF promotions_role(p.requester_id, p.project_id) NOT IN ('reviewer', 'admin')
        OR promotions_role(p.requester_id, p.project_id) IS NULL THEN
        PERFORM promotions_refuse('who asked for this override has no say any more');
    END IF;
    IF EXISTS (SELECT 1 FROM promotions_decision WHERE promotion_id = p.id AND kind = 'rejected') THEN
        PERFORM promotions_refuse('it was rejected');
    END IF;
    SELECT count(DISTINCT d.person_id) INTO approvals FROM promotions_decision d
        WHERE d.promotion_id = p.id AND d.kind = 'approved'
        AND d.person_id IS DISTINCT FROM writer AND d.person_id IS DISTINCT FROM p.requester_id
        AND d.bound_to->>'content' = p.content_hash AND d.bound_to->>'rule' = p.rule_hash
        AND promotions_role(d.person_id, p.project_id) IN
            ('admin', CASE p.kind WHEN 'promotion' THEN 'reviewer' ELSE 'admin' END);
    IF approvals < needed THEN
        PERFORM promotions_refuse(format('%s of %s approvals by somebody else are there', approvals, needed));
    END IF;
END $$;
"""

# --- What is live -------------------------------------------------------------------------------------------

LIVE = """
CREATE OR REPLACE FUNCTION prompts_deployment_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place record;
    what record;
    p promotions_promotion;
    past prompts_deployment;
BEGIN
    SELECT project_id, slug, is_protected INTO place FROM projects_environment WHERE id = NEW.environment_id;
    SELECT project_id, prompt_id, content_hash INTO what FROM prompts_version WHERE id = NEW.version_id;
    IF place.project_id <> NEW.project_id OR what.project_id <> NEW.project_id OR what.prompt_id <> NEW.prompt_id THEN
        RAISE EXCEPTION 'a deployment joins a version and an environment of one project and prompt'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.evidence_kind = '' AND (place.is_protected OR place.slug = 'production') THEN
        PERFORM promotions_refuse(format('the environment %s is protected: it takes promotions only', place.slug));
    ELSIF NEW.evidence_kind = 'promotion' THEN
        SELECT * INTO p FROM promotions_promotion WHERE uuid = NEW.evidence_id;
        IF p.id IS NULL OR (p.project_id, p.prompt_id, p.environment_id, p.version_id, p.model, p.content_hash)
            IS DISTINCT FROM (NEW.project_id, NEW.prompt_id, NEW.environment_id, NEW.version_id, NEW.model, what.content_hash)
        THEN
            PERFORM promotions_refuse('the promotion named as evidence is about something else');
        ELSIF p.purpose <> 'live' OR p.state <> 'approved' THEN
            PERFORM promotions_refuse(format('the promotion named as evidence is %s for %s', p.state, p.purpose));
        END IF;
        IF p.kind = 'promotion' THEN
            PERFORM promotions_require_gates(p);
        ELSIF NOT EXISTS (SELECT 1 FROM promotions_followup WHERE promotion_id = p.id AND done_at IS NULL) THEN
            PERFORM promotions_refuse('an override owes a review');
        END IF;
        PERFORM promotions_require_approvals(p);
    ELSIF NEW.evidence_kind = 'return' THEN
        SELECT * INTO past FROM prompts_deployment WHERE uuid = NEW.evidence_id;
        IF past.id IS NULL OR (past.prompt_id, past.environment_id, past.version_id, past.model)
            IS DISTINCT FROM (NEW.prompt_id, NEW.environment_id, NEW.version_id, NEW.model) OR past.ended_at IS NULL THEN
            PERFORM promotions_refuse('this was never live there, so going to it is no return');
        END IF;
        -- Back to what let it in first: a return is worth what it returns to.
        WHILE past.evidence_kind = 'return' LOOP
            SELECT * INTO past FROM prompts_deployment WHERE uuid = past.evidence_id;
        END LOOP;
        IF past.evidence_kind IS DISTINCT FROM 'promotion' AND (place.is_protected OR place.slug = 'production') THEN
            PERFORM promotions_refuse('what it returns to was live there without evidence');
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- What is live in a protected environment gets an end only by what takes its place, looked at when all is written.
CREATE FUNCTION promotions_require_successor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL AND EXISTS (
        SELECT 1 FROM projects_environment e WHERE e.id = NEW.environment_id AND (e.is_protected OR e.slug = 'production')
    ) AND NOT EXISTS (
        SELECT 1 FROM prompts_deployment d
        WHERE d.prompt_id = NEW.prompt_id AND d.environment_id = NEW.environment_id AND d.ended_at IS NULL
    ) AND EXISTS (SELECT 1 FROM prompts_deployment d WHERE d.id = NEW.id) THEN
        PERFORM promotions_refuse('what is live in a protected environment is replaced, not ended');
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER promotions_deployment_replaced AFTER UPDATE ON prompts_deployment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION promotions_require_successor();

-- Another environment under the name of production would be a way in.
CREATE FUNCTION promotions_environment_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.slug, OLD.project_id) <> (NEW.slug, NEW.project_id) THEN
        PERFORM promotions_refuse('an environment keeps its name');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promotions_environment_kept BEFORE UPDATE ON projects_environment
    FOR EACH ROW EXECUTE FUNCTION promotions_environment_keep();
"""

# --- Promotions and what hangs on them ----------------------------------------------------------------------

PROMOTIONS = """
CREATE FUNCTION promotions_promotion_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moves CONSTANT jsonb := '{
        "checking": ["waiting", "refused", "withdrawn", "void"],
        "refused": ["checking", "waiting", "withdrawn", "void"],
        "waiting": ["checking", "refused", "approved", "rejected", "withdrawn", "void"],
        "approved": ["live", "withdrawn", "void"]
    }';
    may_change CONSTANT text[] := ARRAY['state', 'rule_id', 'rule_hash', 'rule_said', 'changes', 'live_before_id',
        'deployment_id', 'reasons', 'checked_at', 'decided_at', 'reminded_at', 'reminders'];
    what record;
BEGIN
    IF TG_OP <> 'INSERT' AND promotions_is_going(OLD.project_id) THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM promotions_refuse('promotions are kept');
    ELSIF TG_OP = 'INSERT' THEN
        SELECT v.content_hash, v.prompt_id, t.project_id, e.project_id AS place INTO what
            FROM prompts_version v, prompts_prompt t, projects_environment e
            WHERE v.id = NEW.version_id AND t.id = NEW.prompt_id AND e.id = NEW.environment_id;
        IF (what.content_hash, what.prompt_id, what.project_id, what.place)
            IS DISTINCT FROM (NEW.content_hash, NEW.prompt_id, NEW.project_id, NEW.project_id) THEN
            PERFORM promotions_refuse('a promotion joins a version, its prompt and an environment of one project');
        ELSIF NEW.state NOT IN ('checking', 'refused', CASE NEW.kind WHEN 'override' THEN 'waiting' ELSE '' END)
            OR NEW.deployment_id IS NOT NULL THEN
            PERFORM promotions_refuse(format('a promotion does not begin as %s', NEW.state));
        ELSIF NEW.kind = 'override' AND (NEW.purpose <> 'live' OR NEW.requester_id IS NULL) THEN
            PERFORM promotions_refuse('an override is for going live, and a person asks for it');
        END IF;
        RETURN NEW;
    END IF;
    IF (to_jsonb(NEW) - may_change) <> (to_jsonb(OLD) - may_change) THEN
        PERFORM promotions_refuse('what a promotion asks for never changes');
    ELSIF NEW.state <> OLD.state AND NOT coalesce(moves->OLD.state ? NEW.state, false) THEN
        PERFORM promotions_refuse(format('a promotion that is %s does not become %s', OLD.state, NEW.state));
    ELSIF (NEW.rule_hash, NEW.rule_said, NEW.changes, NEW.live_before_id)
        IS DISTINCT FROM (OLD.rule_hash, OLD.rule_said, OLD.changes, OLD.live_before_id)
        AND NOT (OLD.state IN ('checking', 'refused') OR NEW.state = 'checking') THEN
        PERFORM promotions_refuse('what a promotion is judged by changes only while it is checked');
    ELSIF NEW.rule_id IS DISTINCT FROM OLD.rule_id AND NEW.rule_id IS NOT NULL
        AND NOT (OLD.state IN ('checking', 'refused') OR NEW.state = 'checking') THEN
        PERFORM promotions_refuse('what a promotion is judged by changes only while it is checked');
    ELSIF NEW.deployment_id IS DISTINCT FROM OLD.deployment_id AND NEW.state <> 'live' THEN
        PERFORM promotions_refuse('only what goes live has a deployment');
    END IF;
    IF NEW.state <> OLD.state AND NEW.state IN ('waiting', 'approved') AND NEW.kind = 'promotion' THEN
        PERFORM promotions_require_gates(NEW);
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'approved' THEN
        PERFORM promotions_require_approvals(NEW);
    ELSIF NEW.state = 'live' AND NOT EXISTS (
        SELECT 1 FROM prompts_deployment d
        WHERE d.id = NEW.deployment_id AND d.evidence_kind = 'promotion' AND d.evidence_id = NEW.uuid
    ) THEN
        PERFORM promotions_refuse('it is not live');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promotions_promotion_kept BEFORE INSERT OR UPDATE OR DELETE ON promotions_promotion
    FOR EACH ROW EXECUTE FUNCTION promotions_promotion_keep();

CREATE FUNCTION promotions_check_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p promotions_promotion;
    fault text;
BEGIN
    SELECT * INTO p FROM promotions_promotion WHERE id = coalesce(NEW.promotion_id, OLD.promotion_id);
    IF promotions_is_going(p.project_id) THEN
        RETURN coalesce(NEW, OLD);
    ELSIF p.state NOT IN ('checking', 'refused') THEN
        PERFORM promotions_refuse(format('the gates of a promotion that is %s do not change', p.state));
    ELSIF TG_OP = 'UPDATE' AND (OLD.promotion_id, OLD.gate_id) <> (NEW.promotion_id, NEW.gate_id) THEN
        PERFORM promotions_refuse('a check stays with its promotion and its gate');
    ELSIF TG_OP <> 'DELETE' AND NEW.state = 'passed' THEN
        fault := promotions_report_fault(p, NEW.gate_id, NEW.report_id);
        IF fault IS NOT NULL THEN
            PERFORM promotions_refuse('no gate is passed by this: ' || fault);
        END IF;
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER promotions_check_kept BEFORE INSERT OR UPDATE OR DELETE ON promotions_promotioncheck
    FOR EACH ROW EXECUTE FUNCTION promotions_check_keep();

CREATE FUNCTION promotions_decision_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p promotions_promotion;
    writer bigint;
BEGIN
    SELECT * INTO p FROM promotions_promotion WHERE id = NEW.promotion_id;
    SELECT author_id INTO writer FROM prompts_version WHERE id = p.version_id;
    IF p.state <> 'waiting' THEN
        PERFORM promotions_refuse(format('a promotion that is %s is not decided on', p.state));
    ELSIF NEW.person_id = writer OR NEW.person_id = p.requester_id THEN
        PERFORM promotions_refuse('whoever wrote it or asked for it does not decide on it');
    ELSIF coalesce(promotions_role(NEW.person_id, p.project_id), '') NOT IN ('reviewer', 'admin') THEN
        PERFORM promotions_refuse('only a reviewer or an admin of the project decides');
    ELSIF NEW.bound_to->>'content' IS DISTINCT FROM p.content_hash THEN
        PERFORM promotions_refuse('a decision names the content that it is about');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promotions_decision_guarded BEFORE INSERT ON promotions_decision
    FOR EACH ROW EXECUTE FUNCTION promotions_decision_guard();

CREATE FUNCTION promotions_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT 1 FROM promotions_promotion p WHERE p.id = OLD.promotion_id AND promotions_is_going(p.project_id)
    ) THEN
        RETURN OLD;
    END IF;
    PERFORM promotions_refuse(format('%s of %s refused: it never changes', TG_OP, TG_TABLE_NAME));
    RETURN NULL;
END $$;
CREATE TRIGGER promotions_decision_immutable BEFORE UPDATE OR DELETE ON promotions_decision
    FOR EACH ROW EXECUTE FUNCTION promotions_refuse_change();
CREATE TRIGGER promotions_event_immutable BEFORE UPDATE OR DELETE ON promotions_promotionevent
    FOR EACH ROW EXECUTE FUNCTION promotions_refuse_change();
CREATE TRIGGER promotions_comment_immutable BEFORE UPDATE OR DELETE ON promotions_promotioncomment
    FOR EACH ROW EXECUTE FUNCTION promotions_refuse_change();
CREATE TRIGGER promotions_followup_kept BEFORE DELETE ON promotions_followup
    FOR EACH ROW EXECUTE FUNCTION promotions_refuse_change();

CREATE FUNCTION promotions_followup_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p promotions_promotion;
BEGIN
    SELECT * INTO p FROM promotions_promotion WHERE id = NEW.promotion_id;
    IF TG_OP = 'INSERT' AND (p.kind <> 'override' OR NEW.done_at IS NOT NULL) THEN
        PERFORM promotions_refuse('the review of an override begins open');
    ELSIF TG_OP = 'UPDATE' AND (OLD.done_at IS NOT NULL
        OR (to_jsonb(NEW) - ARRAY['done_at', 'done_by_id', 'finding'])
            <> (to_jsonb(OLD) - ARRAY['done_at', 'done_by_id', 'finding'])
        OR NEW.done_at IS NULL OR NEW.done_by_id IS NULL OR NEW.finding = '' OR NEW.done_by_id = p.requester_id
    ) THEN
        PERFORM promotions_refuse('the review of an override is signed once, with a finding, by somebody else');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promotions_followup_guarded BEFORE INSERT OR UPDATE ON promotions_followup
    FOR EACH ROW EXECUTE FUNCTION promotions_followup_guard();
"""

UNDO = """
DROP TRIGGER promotions_followup_guarded ON promotions_followup;
DROP FUNCTION promotions_followup_guard();
DROP TRIGGER promotions_followup_kept ON promotions_followup;
DROP TRIGGER promotions_comment_immutable ON promotions_promotioncomment;
DROP TRIGGER promotions_event_immutable ON promotions_promotionevent;
DROP TRIGGER promotions_decision_immutable ON promotions_decision;
DROP FUNCTION promotions_refuse_change();
DROP TRIGGER promotions_decision_guarded ON promotions_decision;
DROP FUNCTION promotions_decision_guard();
DROP TRIGGER promotions_check_kept ON promotions_promotioncheck;
DROP FUNCTION promotions_check_keep();
DROP TRIGGER promotions_promotion_kept ON promotions_promotion;
DROP FUNCTION promotions_promotion_keep();
DROP TRIGGER promotions_environment_kept ON projects_environment;
DROP FUNCTION promotions_environment_keep();
DROP TRIGGER promotions_deployment_replaced ON prompts_deployment;
DROP FUNCTION promotions_require_successor();
CREATE OR REPLACE FUNCTION prompts_deployment_guard() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP FUNCTION promotions_require_approvals(promotions_promotion);
DROP FUNCTION promotions_require_gates(promotions_promotion);
DROP FUNCTION promotions_report_fault(promotions_promotion, bigint, bigint);
DROP FUNCTION promotions_role(bigint, bigint);
DROP FUNCTION promotions_is_going(bigint);
DROP FUNCTION promotions_refuse(text);
"""


class Migration(migrations.Migration):
    """Functions and triggers; a form or a service could be gone round."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("promotions", "0001_promotions"), ("prompts", "0006_splits")]
    operations: ClassVar[list[Operation]] = [migrations.RunSQL(NEEDS + LIVE + PROMOTIONS, UNDO)]
