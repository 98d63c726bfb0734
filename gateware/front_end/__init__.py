"""Front ends: the converters and switches between the analog tile and an array, and models of their chips."""
