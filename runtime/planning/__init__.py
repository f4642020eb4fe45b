"""Planning: what the engine can do, what branches are worth, and what follows for B and K."""
