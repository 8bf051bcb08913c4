"""Scaling laws: columns of runs in, laws, fits, intervals and comparisons out. Never Beam, never torch.

The way in: a law from :data:`.laws.registry.LAWS` or of the user's own (:func:`.laws.law.law`), :func:`.fits.fit.fit`
to fit it, :mod:`.fits.intervals` for how sure one may be, :mod:`.fits.extrapolate` to compare laws by what they
predict, :mod:`.reconcile.reconcile` to explain why two of them disagree.
"""
