"""The ground floor: number formats, instructions, compiler, device model and the golden model."""
