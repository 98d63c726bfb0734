"""Tests in pure Python, run by pytest."""
