"""What several rooms need and none of them owns: HTTP clients, JSON, logs, plots, whole files, the
event loop's clock and events that are waited for until a time, which config is run on.

It imports nothing of the other rooms but errors, and nothing heavy before it is used.
"""
