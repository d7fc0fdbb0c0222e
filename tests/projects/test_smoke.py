def test_x(alice, project, bob, ingest_key):
    from apps.projects import authentication
    from apps.core import clock
    i = authentication.identify_key(ingest_key, now=clock.now())
    assert i.project_slug == "support-desk"
