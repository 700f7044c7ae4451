"""CIFAR-10, ResNet-18 with a linear penultimate layer, as in the latent-point-collapse paper (arXiv 2310.08224).

The paper trains 1000 epochs; every schedule here is a function of progress, so 200 epochs go through all of it.
"""

from tune_lpc.plan import Choice, Float, Space, Value

# The paper's ramp but for its end, 1e6 in 1000 epochs. What gamma does depends on the size that the output weights have
# reached: in 200 epochs they stay smaller, 1e6 is too strong and costs accuracy, 1e3 to 1e5 suits.
LPC: dict[str, Value] = {"gamma_ramp": "two_regime", "gamma_start": 1e-4, "gamma_end": 1e4, "gamma_ramp_length": 0.266}

SPACE = Space(
    name="cifar10",
    about="CIFAR-10, ResNet-18, linear penultimate layer, both regularisers",
    trials=32,
    settings={
        "dataset": "cifar10",
        "network": "resnet18",
        "head": "linear",
        "augmentation": "flip_crop",
        "optimizer": "adamw",
        "learning_rate_hold": 0.2,
        "learning_rate_end": 1e-8,
        "output_learning_rate": "constant",
        "epochs": 200,
    },
    dimensions={
        "learning_rate": Float(1e-4, 2e-3, log=True),
        "weight_decay": Float(5e-5, 2e-1, log=True),
        "penultimate_width": Choice([16, 32, 64, 128]),
        "gamma_ramp": Choice(["off", "two_regime", "exponential", "linear", "cosine"]),
        "gamma_start": Float(1e-5, 1e-2, log=True),
        "gamma_end": Float(1e1, 1e5, log=True),
        "gamma_ramp_length": Float(0.1, 0.8),
        "topological_weight_schedule": Choice(["off", "constant", "rising"]),
        "topological_weight": Float(1e-3, 3e-1, log=True),
        "beta_schedule": Choice(["constant", "sliding", "linear"]),
        "beta": Float(0.1, 2.0),
    },
    # Two learning rates of the paper's grid (1, 2, 4 and 8e-4), so that every method begins with two configs.
    first=[
        {
            "learning_rate": 8e-4,
            "weight_decay": 5e-4,
            "penultimate_width": 64,
            "gamma_ramp": "off",
            "topological_weight_schedule": "off",
        },
        {
            "learning_rate": 4e-4,
            "weight_decay": 5e-4,
            "penultimate_width": 64,
            **LPC,
            "topological_weight_schedule": "off",
        },
    ],
    start=LPC,
)
