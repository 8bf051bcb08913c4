"""Drivers: the plan of a build and its run, stage by stage. Each lists what is missing and hands it to the engine."""
