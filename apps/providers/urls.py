"""Routes."""

from django.urls import path

from apps.providers import api, views

urlpatterns = [
    path("p/<slug:project>/settings/prices", views.settings_prices, name="settings_prices"),
    path("p/<slug:project>/settings/prices/<uuid:price>/end", views.price_end, name="price_end"),
    path("api/v1/prices", api.PricesApi.as_view(), name="api_prices"),
    path("api/v1/prices/<uuid:price>/end", api.PriceEndApi.as_view(), name="api_price_end"),
]
