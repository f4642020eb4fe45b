"""vLLM in this process, and what this project tells vLLM's own processes."""
