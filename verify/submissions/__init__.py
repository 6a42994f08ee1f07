"""Somebody else's .py and .ipynb files: read, recognised, run where it does no harm, judged.

- `extract`: what a file defines, from its text
- `recognise`: which function is which; `calls`: how they are called
- `stand_ins`: the course's helper modules; `mirror`: numpy over jax.numpy; `workspace`: both,
  and a file's definitions in them
- `draws`: the problems; `ways`: a gradient against its own forward pass; `findings`: against
  the textbook's
- `blocks`: single functions, on a `bench` (`activations`, `linear`, `costs`)
- `composed`: whole networks (`network`, `trials`, `forwards`, `caches`, `replaced`)
- `gradient_checks`, `own`: somebody's checker, somebody's own architecture
- `judge`: a file, from its text to its verdict
- `sandbox`, `server`, `processes`: each file in a process of its own
- `verdicts`, `gradients`, `listing`: what is said, and how it is shown
"""
