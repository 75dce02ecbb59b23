"""Reading the passages of new novels on other machines: batches through Celery's queues, readings through Valkey.

Search hands out (`spread`, `fleet`), workers compute (`services.search.embedding_worker`, `desk`). What a worker does
with a batch is what search would have done, to the byte, and search does itself what no worker does: workers make an
ingestion faster, and are never needed for it.
"""
