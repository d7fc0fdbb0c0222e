"""Routes of the playground; its hot door is not among them (see `doors`)."""

from django.urls import path

from apps.playground import views

urlpatterns = [
    path("p/<slug:project>/playground", views.playground, name="playground"),
    path("p/<slug:project>/playground/start", views.playground_start, name="playground_start"),
    path("p/<slug:project>/playground/runs/<uuid:run>", views.playground_run, name="playground_run"),
    path("p/<slug:project>/playground/answers/<uuid:answer>", views.playground_answer, name="playground_answer"),
]
