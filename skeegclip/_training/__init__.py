"""How encoders are trained: skorch net, batch loader, callbacks, held-out stimuli. Private."""
