"""The command line for CI: one file in a folder of its own, where nothing hides the standard library from it."""
