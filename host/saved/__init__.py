"""Saved runs: the folder that a run writes while it goes on, and what is made of it."""
