"""The search itself: what to train next and when to stop. Optuna; no Ray, no clock and no process of its own."""
