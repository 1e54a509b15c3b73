"""The ports of a turn over gRPC stubs: the only part of arbitration that calls other capabilities."""
