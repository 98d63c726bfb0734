"""Measurements that docs quote: speed as ratios in one run, learning as tables."""
