"""Engines: what runs lists of tasks, on any Beam runner, in children that may die. The only folder that wires Beam."""
