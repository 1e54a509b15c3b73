"""Protobuf to domain and back for the services of the front door; nothing else."""
