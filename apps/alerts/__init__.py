"""Getting a notice to people and to a project's channels, once, and remembering that it went.

A notice has a key, and happens once for each key whoever notices it first. Apps above say what happened by
`services.notices.notify`; this app knows nothing of what a notice is about.
"""
