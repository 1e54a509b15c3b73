"""Models on a Triton server: its client (`client.py`), the repository it runs (`repository.py`), a local server.

`services/runtime/backends.py` takes the client, `services/model_commands.py` the repository, `services/triton_home.py`
the server. `wire.py` alone imports Triton's own client library; `programs` run inside the server.
"""
