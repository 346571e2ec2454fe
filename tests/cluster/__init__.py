"""The whole installation: six processes, PostgreSQL, Redis, nginx (`make test-cluster`)."""
