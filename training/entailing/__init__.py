"""Training of the entailment model: examples by source, statements made by rule, the loop, and the weights."""
