from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from tests.training.measures.points import clusters, rotation, shuffled
from tune_lpc.plan import TrialSpec
from tune_lpc.training.data.batches import select_rows
from tune_lpc.training.loop import Training
from tune_lpc.training.measures import MeasureError, compute_measures, knn_accuracy


@pytest.mark.parametrize("neighbours", [1, 5, 21])
@pytest.mark.parametrize("spread", [1.5, 1e-7])
def test_it_is_the_accuracy_of_scikit_learns_classifier_where_no_votes_are_tied(spread: float, neighbours: int) -> None:
    (training_z, training_labels), (z, labels) = clusters(spread, 60, 2), clusters(spread, 30, 2, seed=3)
    z = training_z[:60:2] + spread * z[:30]  # about both means
    labels = training_labels[:60:2].roll(7)
    labels[:9] = 1
    model = KNeighborsClassifier(neighbours, algorithm="brute", metric="sqeuclidean")
    expected = (torch.from_numpy(model.fit(training_z, training_labels).predict(z)) == labels).double().mean()
    assert knn_accuracy(z, labels, training_z, training_labels, neighbours) == float(expected)


def test_classes_apart_are_told_and_the_order_place_and_scale_of_the_points_change_nothing() -> None:
    (training_z, training_labels), (z, labels) = clusters(1.0, 60), clusters(1.0, 60)
    z = z + torch.randn(z.shape, generator=torch.Generator().manual_seed(4), dtype=z.dtype)
    found = knn_accuracy(z, labels, training_z, training_labels, 20)
    assert 0.3 < found < 1
    order = shuffled(len(training_z))
    turned = rotation(8)
    assert knn_accuracy(z, labels, training_z[order], training_labels[order], 20) == found
    assert knn_accuracy(3 * z @ turned + 1, labels, 3 * training_z @ turned + 1, training_labels, 20) == found
    training_z, training_labels = clusters(1e-6, 60)
    assert knn_accuracy(training_z[::3].float(), training_labels[::3], training_z.float(), training_labels, 20) == 1


def test_of_classes_with_as_many_votes_the_one_with_the_nearest_point_wins() -> None:
    training_z = torch.tensor([[1.0], [2.0], [-3.0], [4.0], [-5.0]])
    training_labels = torch.tensor([2, 1, 1, 0, 0])
    z = torch.zeros(1, 1)
    for neighbours, winner in ((1, 2), (2, 2), (3, 1), (4, 1), (5, 1)):
        answers = [knn_accuracy(z, torch.tensor([c]), training_z, training_labels, neighbours) for c in range(3)]
        assert answers.index(1.0) == winner, neighbours


def test_of_points_equally_far_the_first_counts_as_nearer() -> None:
    training_z, z = torch.tensor([[1.0], [-1.0], [1.0]]), torch.zeros(1, 1)
    for labels in ([0, 1, 1], [1, 0, 0]):
        found = knn_accuracy(z, torch.tensor([labels[0]]), training_z, torch.tensor(labels), 1)
        assert found == 1


def test_too_few_training_points_or_values_that_are_not_finite_are_errors() -> None:
    z, labels = clusters(0.1, 4)
    with pytest.raises(MeasureError, match="the accuracy of 21 neighbours needs as many training points, but found 20"):
        knn_accuracy(z, labels, z, labels, 21)
    for broken in ((z * torch.nan, z), (z, z * torch.inf)):
        with pytest.raises(MeasureError, match="not a number"):
            knn_accuracy(broken[0], labels, broken[1], labels, 5)


def test_a_training_gives_its_images_as_they_are_in_float32() -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (100, 8, 8, 1), generator=random).to(torch.uint8)
    rows, labels = torch.randperm(100, generator=random), torch.arange(100) % 4
    spec = TrialSpec.build({"epochs": 1, "augmentation": "flip_crop", "precision": "bfloat16", "train_size": None})
    training = Training(spec, images, labels, rows[:70], rows[70:])
    list(training.epochs())
    evaluated = training.evaluated()
    assert evaluated.training is not None
    z, its_labels = evaluated.training()
    _, expected, _ = training.represent(select_rows(images, labels, rows[:70], torch.device("cpu")), precise=True)
    assert torch.equal(z, expected) and torch.equal(its_labels, labels[rows[:70]])
    validation = select_rows(images, labels, rows[70:], torch.device("cpu"))
    logits, of_validation, _ = training.represent(validation, precise=True)
    assert torch.equal(evaluated.z, of_validation) and torch.equal(evaluated.logits, logits)
    assert not torch.equal(evaluated.z, training.represent(validation)[1].float())  # as in bfloat16
    assert torch.equal(z, evaluated.training()[0])  # nothing is drawn at random
    values, reasons = compute_measures(["knn_accuracy_20", "knn_accuracy_200"], evaluated)
    assert values["knn_accuracy_20"] == knn_accuracy(evaluated.z, evaluated.labels, z, its_labels, 20)
    assert "found 70" in reasons["knn_accuracy_200"]
