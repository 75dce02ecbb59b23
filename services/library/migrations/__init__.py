"""The schema, one Alembic revision a change, in plain SQL.

A new revision is a new file in ``versions/`` whose ``down_revision`` is the last one's ``revision``. It must leave the
schema such that the release before still works with it: replicas are replaced one by one.
"""
