"""How a tier's file is changed for a choice: one file a choice, each with `apply(root, options)`.

Comes in: a configuration with its comments, and the choices. Goes out: the same, changed, with comments that are true of it.
"""
