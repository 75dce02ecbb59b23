"""The stack that this one replaces, as its authors would write it and run it well, for `benchmarks.talks`.

Three FastAPI services on uvicorn (uvloop, httptools), which talk HTTP/1.1 over kept connections:

- gateway: checks the token, relays the reply's server-sent events by sse-starlette, as the bytes that they are
- generation: keeps the conversation in PostgreSQL (asyncpg), asks search for passages and the model for a reply (httpx)
- search: chromadb with the same passages and the same embedding model, answers kept in Redis for ten minutes

It does less: no reply can be resumed, watched by others or stopped; nothing is limited, traced or counted, and
no circuit opens; no deadline is handed on; a request that is sent twice is answered twice; a reader who leaves ends the
reply.
"""
