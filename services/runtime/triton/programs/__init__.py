"""Programs that Triton's python backend runs. `triton_repository.py` copies them into a repository; nothing here
imports them, and they import nothing of ours: the server's environment has numpy and onnxruntime only.
"""
