"""The boards that bitstreams are built for."""
