"""Committed events on their way to the sockets, and what sockets send on its way in."""
