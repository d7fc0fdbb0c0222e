"""Prompts in git: how the program is run, what a repository is asked, and what follows from comparing both sides.

Nothing here touches the database. Repositories are bare and blobs are read from them; nothing is ever checked out, so
that neither attributes, filters, symbolic links, submodules nor hooks of a repository mean anything.
"""
