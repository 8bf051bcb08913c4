"""Stages: functions of a JSON payload that read and write files. They know nothing of Beam and nothing of a plan."""
