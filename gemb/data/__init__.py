"""Where items come from: manifests, fetching, readers, splits."""
