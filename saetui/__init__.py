"""saetui: train sparse autoencoders on your own hardware, from the terminal."""

__version__ = "0.1.0"
