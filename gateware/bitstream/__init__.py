"""Bitstreams: synthesis, place and route, reports, budgets, what fits, and loading."""
