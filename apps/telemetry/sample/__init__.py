"""Sample data: real calls of a public trace, dressed up as five features of an invented shop. Pure.

`trace` reads the real part, `scenery` holds what is invented, `texts` what people and models are made to say, and
`calls` puts them together into native spans. `README.md` names the origin and the licence, and says which is which.
The same start always gives the same spans, ids included, so that loading them again stores nothing twice.
"""
