"""Routes of promotions: what is asked for and decided, what is live, rollbacks and drills, watches, experiments.

Promotions stand above prompts, so pages of a prompt that belong here (`…/-/rollback`, `…/-/promotions`) are here, too.
"""

from django.urls import URLPattern, URLResolver, path

from apps.promotions.api import deployments as deployments_api
from apps.promotions.api import experiments as experiments_api
from apps.promotions.api import promotions as promotions_api
from apps.promotions.api import rollbacks as rollbacks_api
from apps.promotions.api import rules as rules_api
from apps.promotions.api import watches as watch_api
from apps.promotions.views import deployments as deployment_pages
from apps.promotions.views import experiments as experiment_pages
from apps.promotions.views import promotions as promotion_pages
from apps.promotions.views import rollbacks as rollback_pages
from apps.promotions.views import rules as rule_pages
from apps.promotions.views import watches as watch_pages

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # --- Promotions: the list, one, asking, deciding
    path("p/<slug:project>/promotions", promotion_pages.promotions_page, name="promotions"),
    path("p/<slug:project>/promotions/new", promotion_pages.promotion_new, name="promotion_new"),
    path("p/<slug:project>/promotions/new/runs", promotion_pages.promotion_runs, name="promotion_runs"),
    path("p/<slug:project>/promotions/<int:number>", promotion_pages.promotion_page, name="promotion"),
    path("p/<slug:project>/promotions/<int:number>/holds", promotion_pages.promotion_holds, name="promotion_holds"),
    path("p/<slug:project>/promotions/<int:number>/decide", promotion_pages.promotion_decide, name="promotion_decide"),
    path(
        "p/<slug:project>/promotions/<int:number>/comment", promotion_pages.promotion_comment, name="promotion_comment"
    ),
    path(
        "p/<slug:project>/promotions/<int:number>/override",
        promotion_pages.promotion_override,
        name="promotion_override",
    ),
    path(
        "p/<slug:project>/promotions/<int:number>/follow-up",
        promotion_pages.promotion_follow_up,
        name="promotion_follow_up",
    ),
    path(
        "p/<slug:project>/prompts/<path:prompt>/-/promotions",
        promotion_pages.prompt_promotions,
        name="prompt_promotions",
    ),
    path("api/v1/promotions", promotions_api.PromotionsApi.as_view(), name="api_promotions"),
    path("api/v1/promotions/<int:number>", promotions_api.PromotionApi.as_view(), name="api_promotion"),
    path(
        "api/v1/promotions/<int:number>/approve",
        promotions_api.PromotionApproveApi.as_view(),
        name="api_promotion_approve",
    ),
    path(
        "api/v1/promotions/<int:number>/reject",
        promotions_api.PromotionRejectApi.as_view(),
        name="api_promotion_reject",
    ),
    path(
        "api/v1/promotions/<int:number>/withdraw",
        promotions_api.PromotionWithdrawApi.as_view(),
        name="api_promotion_withdraw",
    ),
    path(
        "api/v1/promotions/<int:number>/check", promotions_api.PromotionCheckApi.as_view(), name="api_promotion_check"
    ),
    path(
        "api/v1/promotions/<int:number>/comments",
        promotions_api.PromotionCommentsApi.as_view(),
        name="api_promotion_comments",
    ),
    path(
        "api/v1/promotions/<int:number>/follow-up",
        promotions_api.PromotionFollowUpApi.as_view(),
        name="api_promotion_follow_up",
    ),
    # --- Release rules
    path("p/<slug:project>/release-rules", rule_pages.release_rules, name="release_rules"),
    path("p/<slug:project>/release-rules/new", rule_pages.release_rule_new, name="release_rule_new"),
    path("p/<slug:project>/release-rules/<uuid:uuid>", rule_pages.release_rule, name="release_rule"),
    path(
        "p/<slug:project>/release-rules/<uuid:uuid>/remove", rule_pages.release_rule_remove, name="release_rule_remove"
    ),
    path("api/v1/release-rules", rules_api.RulesApi.as_view(), name="api_release_rules"),
    path("api/v1/release-rules/<uuid:uuid>", rules_api.RuleApi.as_view(), name="api_release_rule"),
    # --- Deployments and what changed
    path("p/<slug:project>/deployments", deployment_pages.deployments, name="deployments"),
    path("p/<slug:project>/deployments/changes", deployment_pages.changes, name="changes"),
    path("api/v1/deployments", deployments_api.AllDeploymentsApi.as_view(), name="api_deployments"),
    path("api/v1/changes", deployments_api.ChangesApi.as_view(), name="api_changes"),
    # --- Rollbacks and drills
    path("p/<slug:project>/prompts/<path:prompt>/-/rollback", rollback_pages.rollback_new, name="rollback_new"),
    path("p/<slug:project>/rollbacks", rollback_pages.rollbacks_page, name="rollbacks"),
    path("p/<slug:project>/rollbacks/<uuid:uuid>", rollback_pages.rollback, name="rollback"),
    path("p/<slug:project>/drills", rollback_pages.drills_page, name="drills"),
    path("p/<slug:project>/drills/<uuid:uuid>", rollback_pages.drill, name="drill"),
    path("api/v1/prompts/<path:prompt>/rollback", rollbacks_api.RollbackApi.as_view(), name="api_prompt_rollback"),
    path("api/v1/rollbacks", rollbacks_api.RollbacksApi.as_view(), name="api_rollbacks"),
    path("api/v1/rollbacks/<uuid:uuid>", rollbacks_api.RollbackDetailApi.as_view(), name="api_rollback"),
    path("api/v1/drills", rollbacks_api.DrillsApi.as_view(), name="api_drills"),
    path("api/v1/drills/<uuid:uuid>", rollbacks_api.DrillApi.as_view(), name="api_drill"),
    # --- Watches
    path("p/<slug:project>/watches", watch_pages.watches_page, name="watches"),
    path("p/<slug:project>/watches/<uuid:uuid>", watch_pages.watch_page, name="watch"),
    path("p/<slug:project>/promotions/<int:number>/watch", watch_pages.watch_state, name="watch_state"),
    path("api/v1/watches", watch_api.WatchesApi.as_view(), name="api_watches"),
    path("api/v1/watches/<uuid:uuid>", watch_api.WatchApi.as_view(), name="api_watch"),
    # --- Experiments
    path("p/<slug:project>/experiments", experiment_pages.experiments_page, name="experiments"),
    path("p/<slug:project>/experiments/new", experiment_pages.experiment_new, name="experiment_new"),
    path("p/<slug:project>/experiments/<slug:slug>", experiment_pages.experiment_detail, name="experiment"),
    path("p/<slug:project>/experiments/<slug:slug>/edit", experiment_pages.experiment_edit, name="experiment_edit"),
    path("p/<slug:project>/experiments/<slug:slug>/act", experiment_pages.experiment_act, name="experiment_act"),
    path("api/v1/experiments", experiments_api.ExperimentsApi.as_view(), name="api_experiments"),
    path("api/v1/experiments/<slug:slug>", experiments_api.ExperimentApi.as_view(), name="api_experiment"),
    path(
        "api/v1/experiments/<slug:slug>/start",
        experiments_api.ExperimentStartApi.as_view(),
        name="api_experiment_start",
    ),
    path(
        "api/v1/experiments/<slug:slug>/ramp", experiments_api.ExperimentRampApi.as_view(), name="api_experiment_ramp"
    ),
    path(
        "api/v1/experiments/<slug:slug>/stop", experiments_api.ExperimentStopApi.as_view(), name="api_experiment_stop"
    ),
    path(
        "api/v1/experiments/<slug:slug>/finish",
        experiments_api.ExperimentFinishApi.as_view(),
        name="api_experiment_finish",
    ),
    path(
        "api/v1/experiments/<slug:slug>/promote",
        experiments_api.ExperimentPromoteApi.as_view(),
        name="api_experiment_promote",
    ),
    path(
        "api/v1/experiments/<slug:slug>/looks",
        experiments_api.ExperimentLooksApi.as_view(),
        name="api_experiment_looks",
    ),
]
