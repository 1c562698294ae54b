"""Virtual boards: the image that would be flashed, on its chip's memory map and registers, strictly."""
