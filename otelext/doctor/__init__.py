"""Tells which hop of the telemetry is broken, why, and what to type next: the room behind `otelext doctor`.

Comes in: the environment, addresses of the receiver and of the backends. Goes out: findings, one a check, each with its
cause and the next command. Sends one canary of each signal, which carries nothing of the user's. May import every room
but the command line.
"""
