"""The whole installation: five processes, PostgreSQL, Redis, nginx (`make test-cluster`)."""
