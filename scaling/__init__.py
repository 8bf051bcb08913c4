"""Scaling laws: columns of runs in, laws, fits, intervals and comparisons out. Never Beam, never torch.

The way in: a law from :data:`.registry.LAWS` or of the user's own (:func:`.law.law`), :func:`.fit.fit` to fit it,
:mod:`.intervals` for how sure one may be, :mod:`.extrapolate` to compare laws by what they predict, :mod:`.reconcile`
to explain why two of them disagree.
"""
