"""A server whose patience with its clients is short: seconds in place of minutes."""

from __future__ import annotations

from tests.support.server import Server

INTERVAL, TIMEOUT = 0.4, 0.5  # of Engine.IO's pings, in place of 25 and 20; its public attributes
PING, SILENCE = 0.3, 1  # of raw WebSockets, in place of 25 and WS_TIMEOUT_SECONDS' 60
DRAIN = 3  # for who has reached its bound, in place of 6
PROGRAM = f"""
import sys
from app import main, server
serve = server.serve
def serve_impatiently(app):
    from task_app.extensions import socketio
    from task_app.realtime import handlers, sse, websocket
    socketio.server.eio.ping_interval, socketio.server.eio.ping_timeout = {INTERVAL}, {TIMEOUT}
    websocket.PING_SECONDS = {PING}
    handlers.DRAIN_SECONDS = sse.DRAIN_SECONDS = websocket.DRAIN_SECONDS = {DRAIN}
    serve(app)
server.serve = serve_impatiently
sys.exit(main())
"""


class Impatient(Server):
    source = PROGRAM
