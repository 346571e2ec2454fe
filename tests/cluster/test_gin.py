"""The same through the gateway, before the family's own processes (`conftest.py`)."""

from tests.contracts.test_gin import *  # noqa: F403

del gin  # noqa: F821 - this module's would be a server alone
