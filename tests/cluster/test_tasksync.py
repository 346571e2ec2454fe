"""The same through the gateway."""

from tests.contracts.test_tasksync import *  # noqa: F403
