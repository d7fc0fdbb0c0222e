"""Routes of the pages that look across everything."""

from django.urls import path

from apps.dashboards import api, cost_api, cost_views, optimise_views, prompt_views, unpriced_views, views

urlpatterns = [
    path("p/<slug:project>/", views.overview_page, name="overview"),
    path("p/<slug:project>/first-call", views.first_call, name="first_call"),
    path("p/<slug:project>/costs", views.costs_page, name="costs"),
    path("p/<slug:project>/costs.csv", views.costs_csv, name="costs_csv"),
    path("p/<slug:project>/costs/details", cost_views.costs_details, name="costs_details"),
    path("p/<slug:project>/costs/users", cost_views.costs_users, name="costs_users"),
    path("p/<slug:project>/costs/unpriced", unpriced_views.unpriced_page, name="unpriced"),
    path("p/<slug:project>/costs/unpriced/price", unpriced_views.unpriced_price, name="unpriced_price"),
    path("api/v1/costs/unpriced", cost_api.UnpricedApi.as_view(), name="api_costs_unpriced"),
    path("api/v1/costs/anomalies", cost_api.AnomaliesApi.as_view(), name="api_costs_anomalies"),
    path("p/<slug:project>/costs/optimise", optimise_views.optimise_page, name="optimise"),
    path("api/v1/costs/suggestions", cost_api.SuggestionsApi.as_view(), name="api_costs_suggestions"),
    path("api/v1/costs/reprice", cost_api.RepriceApi.as_view(), name="api_costs_reprice"),
    path("p/<slug:project>/latency", views.latency_page, name="latency"),
    path("p/<slug:project>/retrieval", views.retrieval_page, name="retrieval"),
    path("p/<slug:project>/agents", views.agents_page, name="agents"),
    path("p/<slug:project>/quality", views.quality_page, name="quality"),
    path("p/<slug:project>/prompts/<path:prompt>/-/numbers", prompt_views.prompt_numbers, name="prompt_numbers"),
    path("api/v1/prompts/<path:prompt>/numbers", api.PromptNumbersApi.as_view(), name="api_prompt_numbers"),
    path("p/<slug:project>/palette", views.palette, name="palette"),
]
