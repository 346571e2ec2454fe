"""What the server was measured with and leans on.

Its own server, engine and statements reach into parts of these that are promised to nobody: a
newer one must be looked at before it is taken.  `flask --app app doctor` and
`tests/test_canaries.py` hold what is installed against this.
"""

from __future__ import annotations

import sys

VERSIONS = {
    "flask": "3.1.3",
    "werkzeug": "3.1.9",
    "flask-limiter": "4.1.1",
    "flask-restful": "0.3.10",
    "flask-jwt-extended": "4.7.4",
    "flask-sqlalchemy": "3.1.1",
    "sqlalchemy": "2.1.9",
    "flask-socketio": "5.7.0",
    "python-socketio": "5.18.1",
    "python-engineio": "4.15.1",
    "marshmallow": "4.4.0",
    "eventlet": "0.41.3",
    "greenlet": "3.5.6",
    "httptools": "0.9.0",
    "pyjwt": "2.15.1",
}

if sys.version_info < (3, 11):  # the last releases for it
    VERSIONS |= {"sqlalchemy": "2.0.58", "marshmallow": "4.3.1"}
