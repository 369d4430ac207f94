"""Whose the energy of a GPU is: joules by model, shared among all processes that use it, by bookkeeping beside the lease.

A process's share of a window is ∫ n_model(t) / n(t) dE: n is the number of inferences that all processes had active on
the GPU at t, n_model the process's own for one model. E is the holder's curve of joules. Everybody settles up to the
moment before which nothing of that changes any more, so that all work out the same, and together claim no more than the
GPU used. Where n is 0, the energy is idle, and the holder of the lease counts it.
"""
