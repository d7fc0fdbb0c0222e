"""The one-command stack: embedded PostgreSQL and Valkey, and the supervisor that keeps every process alive.

Only the binaries of the pip packages are used, never their Python layers: those trust pid files, chmod parent
directories, or switch durability off. A server counts as up when it answers, and for no other reason.
"""
