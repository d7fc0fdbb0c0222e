"""Routes of evals: sets and examples, scorers, runs and results, comparisons, gates, online evals."""

from django.urls import URLPattern, URLResolver, path

from apps.evals.api import scorers as scorers_api
from apps.evals.api import set_imports as set_imports_api
from apps.evals.api import sets as sets_api
from apps.evals.views import results, runs, set_imports

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # A key may hold `/`, so what ends in a word of its own stands before what is only a key.
    path(
        "p/<slug:project>/eval-sets/<slug:slug>/examples/<path:key>/results",
        results.example_results,
        name="example_results",
    ),
    # --- Sets and examples
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
    path("api/v1/eval-sets/<slug:slug>/import", set_imports_api.SetImportApi.as_view(), name="api_eval_set_import"),
    path("api/v1/eval-sets/<slug:slug>/export", set_imports_api.SetExportApi.as_view(), name="api_eval_set_export"),
    # --- Scorers and calibration
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
    path("p/<slug:project>/eval-runs/<int:number>", runs.run_page, name="eval_run"),
    path("p/<slug:project>/eval-runs/<int:number>/cancel", runs.run_cancel, name="eval_run_cancel"),
    path("p/<slug:project>/eval-runs/<int:number>/retry", runs.run_retry, name="eval_run_retry"),
    path("p/<slug:project>/eval-runs/<int:number>/results", results.results_page, name="eval_results"),
    path("p/<slug:project>/eval-runs/<int:number>/results/<path:key>", results.result_page, name="eval_result"),
    path("p/<slug:project>/prompts/<path:prompt>/-/evals", runs.prompt_evals, name="prompt_evals"),
    # --- Comparisons and model upgrades
    # --- Gates
    # --- Online evals
]
