"""RTL against the golden model: test_*.py is run by pytest, *_bench.py inside the simulator."""
