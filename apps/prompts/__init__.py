"""Prompts and their immutable, semantically versioned contents: rendering, variables, files, git, what is live where.

What is versioned is a `content.Content`: messages, variables, model, parameters, tools and schema. A version never
changes; what is live is a row that points at one. Thinking modules (`content`, `semver`, `bumping`, `templating`,
`files`, `linting`, `diffing`) know no database.
"""
