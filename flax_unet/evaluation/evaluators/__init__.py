"""What a split is scored by: `config.evals.<name>.type`."""
