"""The same through the gateway, on the installation's own settings."""

from tests.contracts.test_gin import *  # noqa: F403

del gin  # noqa: F821 - the fixture of this folder stands for it
