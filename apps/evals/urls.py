"""Routes of evals: sets and examples, scorers, runs and results, comparisons, gates, online evals."""

from django.urls import URLPattern, URLResolver, path

from apps.evals.api import comparisons as comparisons_api
from apps.evals.api import gates as gates_api
from apps.evals.api import online as online_api
from apps.evals.api import runs as runs_api
from apps.evals.api import scorers as scorers_api
from apps.evals.api import set_health as set_health_api
from apps.evals.api import set_imports as set_imports_api
from apps.evals.api import sets as sets_api
from apps.evals.views import calibrations as calibration_pages
from apps.evals.views import comparisons, examples, results, run_new, runs, set_health, set_imports, sets
from apps.evals.views import gates as gate_pages
from apps.evals.views import online as online_pages
from apps.evals.views import scorers as scorer_pages

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # --- Sets and examples
    path("p/<slug:project>/eval-sets", sets.sets_page, name="eval_sets"),
    # A key may hold `/`, so nothing follows it.
    path("p/<slug:project>/eval-sets/<slug:slug>/results/<path:key>", results.example_results, name="example_results"),
    path("p/<slug:project>/eval-sets/-/new", sets.set_new, name="eval_set_new"),
    path("p/<slug:project>/eval-sets/-/add", examples.example_add, name="eval_example_add"),
    path("p/<slug:project>/eval-sets/<slug:slug>", sets.set_page, name="eval_set"),
    path("p/<slug:project>/eval-sets/<slug:slug>/review", sets.set_review, name="eval_set_review"),
    path("p/<slug:project>/eval-sets/<slug:slug>/revisions", sets.set_revisions, name="eval_set_revisions"),
    path("p/<slug:project>/eval-sets/<slug:slug>/revisions/<int:number>", sets.set_revision, name="eval_set_revision"),
    path("p/<slug:project>/eval-sets/<slug:slug>/settings", sets.set_settings, name="eval_set_settings"),
    path("p/<slug:project>/eval-sets/<slug:slug>/new", examples.example_new, name="eval_example_new"),
    path("p/<slug:project>/eval-sets/<slug:slug>/edit/<path:key>", examples.example_edit, name="eval_example_edit"),
    path(
        "p/<slug:project>/eval-sets/<slug:slug>/remove/<path:key>", examples.example_remove, name="eval_example_remove"
    ),
    path("p/<slug:project>/eval-sets/<slug:slug>/examples/<path:key>", examples.example_page, name="eval_example"),
    path("api/v1/eval-sets", sets_api.EvalSetsApi.as_view(), name="api_eval_sets"),
    path("api/v1/eval-sets/<slug:slug>", sets_api.EvalSetApi.as_view(), name="api_eval_set"),
    path("api/v1/eval-sets/<slug:slug>/examples", sets_api.ExamplesApi.as_view(), name="api_eval_examples"),
    path(
        "api/v1/eval-sets/<slug:slug>/examples/review",
        sets_api.ExamplesReviewApi.as_view(),
        name="api_eval_examples_review",
    ),
    path("api/v1/eval-sets/<slug:slug>/examples/<path:key>", sets_api.ExampleApi.as_view(), name="api_eval_example"),
    path("api/v1/eval-sets/<slug:slug>/revisions", sets_api.RevisionsApi.as_view(), name="api_eval_revisions"),
    path(
        "api/v1/eval-sets/<slug:slug>/revisions/<int:number>", sets_api.RevisionApi.as_view(), name="api_eval_revision"
    ),
    # --- Imports, exports, health
    path("p/<slug:project>/eval-sets/<slug:slug>/import", set_imports.import_page, name="eval_set_import"),
    path(
        "p/<slug:project>/eval-sets/<slug:slug>/import/<uuid:job>", set_imports.import_job, name="eval_set_import_job"
    ),
    path(
        "p/<slug:project>/eval-sets/<slug:slug>/import/<uuid:job>/discard",
        set_imports.import_discard,
        name="eval_set_import_discard",
    ),
    path("p/<slug:project>/eval-sets/<slug:slug>/export", set_imports.export_page, name="eval_set_export"),
    path("p/<slug:project>/eval-sets/<slug:slug>/health", set_health.health_page, name="eval_set_health"),
    path("p/<slug:project>/eval-sets/<slug:slug>/health/keep", set_health.health_keep, name="eval_set_health_keep"),
    path("api/v1/eval-sets/<slug:slug>/health", set_health_api.SetHealthApi.as_view(), name="api_eval_set_health"),
    path("api/v1/eval-sets/<slug:slug>/import", set_imports_api.SetImportApi.as_view(), name="api_eval_set_import"),
    path("api/v1/eval-sets/<slug:slug>/export", set_imports_api.SetExportApi.as_view(), name="api_eval_set_export"),
    # --- Scorers and calibration
    path("p/<slug:project>/scorers", scorer_pages.scorers_page, name="scorers"),
    path("p/<slug:project>/scorers/new", scorer_pages.scorer_new, name="scorer_new"),
    path("p/<slug:project>/scorers/<slug:scorer>", scorer_pages.scorer_page, name="scorer"),
    path("p/<slug:project>/scorers/<slug:scorer>/try", scorer_pages.scorer_try, name="scorer_try"),
    path("p/<slug:project>/scorers/<slug:scorer>/edit", scorer_pages.scorer_edit, name="scorer_edit"),
    path("p/<slug:project>/scorers/<slug:scorer>/archive", scorer_pages.scorer_archive, name="scorer_archive"),
    path("p/<slug:project>/scorers/<slug:scorer>/calibrate", calibration_pages.calibration_new, name="calibration_new"),
    path("p/<slug:project>/calibrations/<uuid:calibration>", calibration_pages.calibration_page, name="calibration"),
    path(
        "p/<slug:project>/calibrations/<uuid:calibration>/act",
        calibration_pages.calibration_act,
        name="calibration_act",
    ),
    path("api/v1/scorers", scorers_api.ScorersApi.as_view(), name="api_scorers"),
    path("api/v1/scorers/<slug:scorer>", scorers_api.ScorerApi.as_view(), name="api_scorer"),
    path("api/v1/scorers/<slug:scorer>/versions", scorers_api.ScorerVersionsApi.as_view(), name="api_scorer_versions"),
    path("api/v1/scorers/<slug:scorer>/try", scorers_api.ScorerTryApi.as_view(), name="api_scorer_try"),
    path(
        "api/v1/scorers/<slug:scorer>/calibrations",
        scorers_api.ScorerCalibrationsApi.as_view(),
        name="api_scorer_calibrations",
    ),
    # --- Runs and results
    path("p/<slug:project>/eval-runs", runs.runs_page, name="eval_runs"),
    path("p/<slug:project>/eval-runs/-/new", run_new.run_new, name="eval_run_new"),
    path("p/<slug:project>/eval-runs/-/estimate", run_new.run_estimate, name="eval_run_estimate"),
    path("p/<slug:project>/eval-runs/<int:number>", runs.run_page, name="eval_run"),
    path("p/<slug:project>/eval-runs/<int:number>/cancel", runs.run_cancel, name="eval_run_cancel"),
    path("p/<slug:project>/eval-runs/<int:number>/retry", runs.run_retry, name="eval_run_retry"),
    path("p/<slug:project>/eval-runs/<int:number>/results", results.results_page, name="eval_results"),
    path("p/<slug:project>/eval-runs/<int:number>/results/<path:key>", results.result_page, name="eval_result"),
    path("p/<slug:project>/prompts/<path:prompt>/-/evals", runs.prompt_evals, name="prompt_evals"),
    path("api/v1/eval-runs", runs_api.RunsApi.as_view(), name="api_eval_runs"),
    path("api/v1/eval-runs/estimate", runs_api.RunEstimateApi.as_view(), name="api_eval_run_estimate"),
    path("api/v1/eval-runs/<str:run>", runs_api.RunApi.as_view(), name="api_eval_run"),
    path("api/v1/eval-runs/<str:run>/results", runs_api.RunResultsApi.as_view(), name="api_eval_run_results"),
    path("api/v1/eval-runs/<str:run>/baseline", runs_api.RunBaselineApi.as_view(), name="api_eval_run_baseline"),
    path("api/v1/eval-runs/<str:run>/outputs", runs_api.RunOutputsApi.as_view(), name="api_eval_run_outputs"),
    path("api/v1/eval-runs/<str:run>/finish", runs_api.RunFinishApi.as_view(), name="api_eval_run_finish"),
    path("api/v1/eval-runs/<str:run>/cancel", runs_api.RunCancelApi.as_view(), name="api_eval_run_cancel"),
    path("api/v1/eval-runs/<str:run>/retry", runs_api.RunRetryApi.as_view(), name="api_eval_run_retry"),
    # --- Comparisons and model upgrades
    path("p/<slug:project>/eval-runs/-/compare", comparisons.compare_page, name="eval_compare"),
    path("p/<slug:project>/eval-runs/-/upgrade", comparisons.model_upgrade, name="model_upgrade"),
    path("api/v1/comparisons", comparisons_api.ComparisonsApi.as_view(), name="api_comparisons"),
    # --- Gates
    path("p/<slug:project>/gates", gate_pages.gates_page, name="gates"),
    path("p/<slug:project>/gates/new", gate_pages.gate_new, name="gate_new"),
    path("p/<slug:project>/gates/<slug:slug>", gate_pages.gate_page, name="gate"),
    path("p/<slug:project>/gates/<slug:slug>/edit", gate_pages.gate_edit, name="gate_edit"),
    path("p/<slug:project>/gates/<slug:slug>/check", gate_pages.gate_check, name="gate_check"),
    path("p/<slug:project>/gates/<slug:slug>/archive", gate_pages.gate_archive, name="gate_archive"),
    path("p/<slug:project>/gate-reports/<uuid:uuid>", gate_pages.gate_report, name="gate_report"),
    path("p/<slug:project>/eval-runs/<int:number>/gate", gate_pages.run_gate, name="run_gate"),
    path("api/v1/gates", gates_api.GatesApi.as_view(), name="api_gates"),
    path("api/v1/gates/<slug:slug>", gates_api.GateApi.as_view(), name="api_gate"),
    path("api/v1/gates/<slug:slug>/check", gates_api.GateCheckApi.as_view(), name="api_gate_check"),
    path("api/v1/gates/<slug:slug>/reports", gates_api.GateReportsApi.as_view(), name="api_gate_reports"),
    path("api/v1/gate-reports/<uuid:uuid>", gates_api.GateReportApi.as_view(), name="api_gate_report"),
    # --- Online evals
    path("p/<slug:project>/online-evals", online_pages.online_page, name="online_evals"),
    path("p/<slug:project>/online-evals/new", online_pages.online_new, name="online_eval_new"),
    path("p/<slug:project>/online-evals/<uuid:uuid>", online_pages.online_eval, name="online_eval"),
    path("p/<slug:project>/online-evals/<uuid:uuid>/edit", online_pages.online_edit, name="online_eval_edit"),
    path("p/<slug:project>/online-evals/<uuid:uuid>/pause", online_pages.online_pause, name="online_eval_pause"),
    path("p/<slug:project>/online-evals/<uuid:uuid>/retry", online_pages.online_retry, name="online_eval_retry"),
    path("p/<slug:project>/online-evals/<uuid:uuid>/delete", online_pages.online_delete, name="online_eval_delete"),
    path("api/v1/online-evals", online_api.OnlineEvalsApi.as_view(), name="api_online_evals"),
    path("api/v1/online-evals/<uuid:uuid>", online_api.OnlineEvalApi.as_view(), name="api_online_eval"),
    path("api/v1/online-evals/<uuid:uuid>/items", online_api.OnlineItemsApi.as_view(), name="api_online_items"),
    path("api/v1/online-evals/<uuid:uuid>/retry", online_api.OnlineRetryApi.as_view(), name="api_online_retry"),
]
