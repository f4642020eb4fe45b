"""The embedded model: its problems, its training, and what was measured of it.

A small Llama that solves generated word problems, trained here and shipped in ``model/`` (see
``model/MODEL_CARD.md``), so that a machine without a GPU or a download races on a real vLLM engine.
"""
