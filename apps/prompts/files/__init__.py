"""Prompts as files: our own format, and the formats of others read into it.

Nothing here touches the database, the network or the disk: text goes in, values and words come out.
"""
