"""The pages that look across everything: Overview, Costs, Latency. They read, and own no table.

Pure modules say what a page looks at (`scope`, `calendar`), what stands out (`verdict`, in words: `sentences`) and
what it shows (`overview`, `costs`, `latency`); `selectors` asks for the figures, `views` puts the two together.
"""
