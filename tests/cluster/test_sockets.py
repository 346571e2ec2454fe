"""The same through the gateway."""

from tests.contracts.test_sockets import *  # noqa: F403
