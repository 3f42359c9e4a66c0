"""Making a model: data, network, losses, the loop, export."""
