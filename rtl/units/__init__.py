"""The units that elements go through between vector memory and the tile, and back."""
