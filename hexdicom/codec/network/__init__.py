"""Predictors 2 and 3: a small causal network in integers, driven by six small planes, adapted to each series."""
