"""The virtual board with a physical array: analog tile, front end, models of its chips, and the array in C++ behind their analog pins."""
