"""Socket.IO packets as strict as the rest of the server.

python-socketio's own class takes any JSON as an event, and binary packets whose attachments
nobody bounds; what it cannot read ends the connection without a word.
"""

from __future__ import annotations

from typing import Any

from socketio import packet

from task_app import jsonio

# What an event that cannot be read is called instead: its sender is answered with an error.
UNREADABLE = "\x00unreadable"
# A binary attachment, which no event that was taken announced; it is passed over.
ATTACHMENT = "\x00attachment"
TAKEN = (packet.CONNECT, packet.DISCONNECT, packet.EVENT, packet.ACK)


_OURS: Any = object()  # the default of what came: a packet that we make


class Packet(packet.Packet):
    """A Socket.IO packet."""

    json = jsonio
    uses_binary_events = False  # nothing that we send is: it need not be looked through
    data: Any

    def __init__(self, *args: Any, encoded_packet: Any = _OURS, **kwargs: Any):
        came = encoded_packet is not _OURS
        super().__init__(*args, encoded_packet=encoded_packet if came else None, **kwargs)
        if came and not encoded_packet:  # nothing, or what Engine.IO has read as JSON: null, {}, …
            self.data = [UNREADABLE]

    def decode(self, encoded_packet: Any) -> int:
        """Read the packet.  What cannot be read becomes an event that says so; never raises."""
        if isinstance(encoded_packet, bytes):
            self.packet_type, self.data = packet.EVENT, [ATTACHMENT]
            return 0
        if not isinstance(encoded_packet, str):  # Engine.IO has read it as JSON
            self.packet_type, self.data = packet.EVENT, [UNREADABLE]
            return 0
        try:
            super().decode(encoded_packet)
        except (ValueError, LookupError):
            # A connect that cannot be read is refused like one with a bad token.
            connecting = self.packet_type == packet.CONNECT
            self.data = {"token": UNREADABLE} if connecting else None
        if self.packet_type not in TAKEN:
            # No command takes binary data: nothing is kept waiting for its attachments.
            self.packet_type, self.data = packet.EVENT, None
        if self.packet_type == packet.EVENT and not _is_event(self.data):
            self.data = [UNREADABLE]
        return 0


def _is_event(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], str)
