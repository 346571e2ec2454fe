"""The same through the gateway."""

from tests.contracts.test_channels import *  # noqa: F403
