"""What makes it a chip: the whole board, its bus, registers, sample stores and clock."""
