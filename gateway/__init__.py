"""HTTP/JSON and server-sent events in front of every annotated RPC of the contract; no code per RPC.

Descriptors say it all: ``google.api.http`` is the route, ``gaji.gateway.v1.edge`` the policy, the messages' fields the
JSON. ``contract`` reads them, ``bindings`` makes routes of them, ``app`` answers requests.
"""
