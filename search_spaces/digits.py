"""scikit-learn's 1,797 handwritten digits, 8 x 8 pixels, bundled with it: the demo, minutes on a laptop."""

from tune_lpc.plan import Choice, Float, Int, Space, Value

# No paper has these data: the ramp of arXiv 2310.08224 to an end that 36 epochs bear. There an end of 10 or 100 gave a
# validation accuracy of 0.983 (none: 0.967), 1e3 gave 0.967, and 1e4 0.24: the output weights don't grow that fast.
LPC: dict[str, Value] = {"gamma_ramp": "two_regime", "gamma_start": 1e-4, "gamma_end": 1e2, "gamma_ramp_length": 0.266}

SPACE = Space(
    name="digits",
    about="1,437 handwritten digits (8 x 8; 360 more are kept for a test), multilayer perceptron, both regularisers",
    trials=16,
    settings={
        "dataset": "digits",
        "network": "mlp",
        "head": "linear",
        "optimizer": "adamw",
        "batch_size": 64,
        "groups": 8,
        "group_size": 8,
        "epochs": 36,
    },
    dimensions={
        "learning_rate": Float(3e-4, 3e-2, log=True),
        "weight_decay": Float(1e-5, 1e-2, log=True),
        "penultimate_width": Int(16, 128, log=True),
        "gamma_ramp": Choice(["off", "two_regime", "exponential", "linear", "cosine"]),
        "gamma_start": Float(1e-5, 1e-3, log=True),
        "gamma_end": Float(1e-1, 1e3, log=True),
        "gamma_ramp_length": Float(0.2, 0.9),
        "topological_weight_schedule": Choice(["off", "constant", "rising"]),
        "topological_weight": Float(1e-3, 1e-1, log=True),
        "beta_schedule": Choice(["constant", "sliding", "linear"]),
        "beta": Float(0.1, 2.0),
    },
    # Two learning rates, so that every method begins with two configs.
    first=[
        {
            "learning_rate": 1e-3,
            "weight_decay": 5e-4,
            "penultimate_width": 64,
            "gamma_ramp": "off",
            "topological_weight_schedule": "off",
        },
        {
            "learning_rate": 3e-3,
            "weight_decay": 5e-4,
            "penultimate_width": 64,
            **LPC,
            "topological_weight_schedule": "off",
        },
    ],
    start=LPC,
)
