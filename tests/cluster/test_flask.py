"""The same through the gateway."""

from tests.contracts.test_flask import *  # noqa: F403
