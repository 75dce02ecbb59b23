"""The jobs: work that is done even if nobody waits for it, in Celery's queues on Redis or Valkey.

The queues drive, they are not the truth: a job calls one RPC that may be repeated and waits for it. What must be done
stands in the rooms that own it, and is swept up from there when a queue has lost it.
"""
