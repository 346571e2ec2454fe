"""The same through the gateway."""

from tests.contracts.test_socket_auth import *  # noqa: F403
