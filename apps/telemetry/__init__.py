"""Spans in, cost records out: native intake, cost frozen at intake, hourly and daily roll-ups, traces.

Spans are written once, by COPY, into day partitions, and marked dirty by the hour; cost records are rewritten from the
spans of dirty hours. `merging` says what two reports of one span become, in any order.
"""
