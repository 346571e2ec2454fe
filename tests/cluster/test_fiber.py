"""The same through the gateway."""

from tests.contracts.test_fiber import *  # noqa: F403
