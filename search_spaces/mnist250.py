"""MNIST with 250 training images (25 a class).

As in the topological-densification papers (arXiv 2002.04805 and its follower).
"""

from tune_lpc.plan import Choice, Float, Space, Value

# The paper of latent point collapse (arXiv 2310.08224) has no such data. The nearest in this space: its ramp, to an end
# that suits output weights which weight decay keeps small. In 60 epochs with a constant output rate an end of 1 or 10
# gave a validation accuracy of 0.952 or 0.944 (none: 0.944, one seed each), 100 gave 0.916; 310 epochs bear more.
LPC: dict[str, Value] = {"gamma_ramp": "two_regime", "gamma_start": 1e-4, "gamma_end": 1e1, "gamma_ramp_length": 0.266}
SLIDING: dict[str, Value] = {
    "topological_weight_schedule": "rising",
    "topological_weight": 0.1,
    "beta_schedule": "sliding",
    "beta": 1.1,
    "distance": "l1",
}

SPACE = Space(
    name="mnist250",
    about="MNIST, 250 training images, small CNN, both regularisers on same-class groups",
    trials=32,
    settings={
        "dataset": "mnist",
        "train_size": 250,
        "network": "small_cnn",
        "activation": "leaky_relu",
        "head": "none",
        "optimizer": "sgd",
        "batching": "grouped",
        "epoch_unit": "anchors",
        "epochs": 310,
    },
    dimensions={
        "learning_rate": Float(1e-2, 5e-1, log=True),
        "weight_decay": Float(1e-4, 1e-2, log=True),
        "gamma_ramp": Choice(["off", "two_regime", "exponential", "linear", "cosine"]),
        "gamma_start": Float(1e-5, 1e-3, log=True),
        "gamma_end": Float(1e-2, 1e3, log=True),
        "gamma_ramp_length": Float(0.2, 0.9),
        "topological_weight_schedule": Choice(["off", "constant", "rising"]),
        "topological_weight": Float(1e-3, 3e-1, log=True),
        "beta_schedule": Choice(["constant", "sliding", "linear"]),
        "beta": Float(0.1, 2.0),
        "distance": Choice(["l1", "l2"]),
    },
    # Two weight decays, that of the code (1e-2) and that of the text, so that every method begins with two configs.
    first=[
        {"learning_rate": 0.1, "weight_decay": 1e-2, "gamma_ramp": "off", "topological_weight_schedule": "off"},
        {"learning_rate": 0.1, "weight_decay": 1e-3, "gamma_ramp": "off", **SLIDING},
    ],
    start={**LPC, **SLIDING},
)
