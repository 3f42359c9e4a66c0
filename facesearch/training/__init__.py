"""Makes a model: data, network, losses, the training loop, the model folder."""
