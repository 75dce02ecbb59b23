"""The stack and the conversation of the end-to-end tests."""

from tests.e2e.conftest import reader, talk

__all__ = ["reader", "talk"]
