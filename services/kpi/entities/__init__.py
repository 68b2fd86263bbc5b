"""One file an entity: its state, `merge(old, events)` and `contribution(state)`, all pure.

`merge` is a union, a minimum or a sum over events that were let through once, so it depends on no order; figures are
kept by the difference of `contribution` before and after (KPI rule 1).
"""
