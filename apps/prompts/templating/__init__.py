"""Template text of prompts: reading, checking, including snippets and rendering, in two languages, without a database.

`rendering` is what callers use. Mustache is read here; Jinja is only ever read and run by a child process (`child`).
"""
