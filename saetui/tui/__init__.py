"""The terminal interface: a client that shows jobs and asks for things. It never supervises, and never imports torch."""
