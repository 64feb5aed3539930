"""What every service stands on: how many times, how long, in what order, exactly once.

Read `handle.py` first: it is the only path that a message can take.
"""
