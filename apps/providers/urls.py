"""Routes."""

from django.urls import path

from apps.providers import api

urlpatterns = [
    path("api/v1/prices", api.PricesApi.as_view(), name="api_prices"),
    path("api/v1/prices/<uuid:price>/end", api.PriceEndApi.as_view(), name="api_price_end"),
]
