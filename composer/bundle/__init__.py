"""A container as an OCI bundle: config.json from templates, checked before runc sees it. Pure."""
