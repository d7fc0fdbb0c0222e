"""Routes."""

from django.urls import path

from apps.providers.api import connections as connections_api
from apps.providers.api import prices as prices_api
from apps.providers.views import connections, prices

providers = "p/<slug:project>/settings/providers"

urlpatterns = [
    path("p/<slug:project>/settings/prices", prices.settings_prices, name="settings_prices"),
    path("p/<slug:project>/settings/prices/<uuid:price>/end", prices.price_end, name="price_end"),
    path(providers, connections.settings_providers, name="settings_providers"),
    path(f"{providers}/new", connections.connection_new, name="connection_new"),
    path(f"{providers}/<slug:connection>", connections.connection_edit, name="connection_edit"),
    path(f"{providers}/<slug:connection>/check", connections.connection_check, name="connection_check"),
    path(f"{providers}/<slug:connection>/remove", connections.connection_remove, name="connection_remove"),
    path("api/v1/prices", prices_api.PricesApi.as_view(), name="api_prices"),
    path("api/v1/prices/<uuid:price>/end", prices_api.PriceEndApi.as_view(), name="api_price_end"),
    path("api/v1/connections", connections_api.ConnectionsApi.as_view(), name="api_connections"),
    path("api/v1/connections/<slug:connection>", connections_api.ConnectionApi.as_view(), name="api_connection"),
]
