"""What the folder says of itself."""

README = """# A decoder of pictures from EEG, as a submission

Written by skeegclip {skeegclip}, which is not needed to run it. It needs torch {version} or later, and nothing else.

- `submission.py` has the class `Solver`: `load_model(meta)` gives the model, `save_model(model, path)` writes it. It is for
  inference only, and so has no `fit`.
- `model.pt2` is the whole decoder, preprocessing included, as a program of torch (`torch.export.load`).
- `facts.json` says what it was fitted on: channels {n_chans}, samples {n_times}, rate {sfreq} Hz.

`model(X)` takes epochs (batch, n_chans, n_times) in the unit that it was fitted in (microvolts, MEG: fT) and gives
predictions (batch, {n_outputs}). Channels in another order, or more of them, are put in place by `meta["ch_names"]`; epochs of
the same length at another rate are resampled; whatever else differs is refused in one sentence.
"""
