"""Evaluators compute the scores of a split: `config.evals.<name>.type`."""
