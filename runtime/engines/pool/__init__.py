"""Several engines that serve the same model, as one."""
