"""The vector index, the bundle, the engines and the gateway."""
