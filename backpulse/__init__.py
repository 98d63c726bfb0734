"""Backpulse: trains multilayer neural networks inside an analog crossbar array.

The packages below lie at the top of the repository; here they have the one name that an installation owns.
"""
