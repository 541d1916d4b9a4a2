"""Images: names, manifests, configs (pure); the store and the unpacker (effects)."""
