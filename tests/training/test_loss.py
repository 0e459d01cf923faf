"""The training loss: ignored regions and the teacher. Skipped without the extra [train]."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from detector.errors import WrongUse

torch = pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]

CLASSES = 3


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    from training.torchvision_shim import install

    install()


def a_network():
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=CLASSES, verbose=False).train()
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=1)
    return model


def a_batch(*rows):
    """One picture; rows are (class, x, y, w, h)."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    torch.manual_seed(1)
    return {
        "img": torch.rand(1, 3, 64, 64),
        "cls": table[:, :1],
        "bboxes": table[:, 1:],
        "batch_idx": torch.zeros(len(table)),
    }


def cls_gradient(model, batch):
    """Gradient of the loss for the class scores, (places, classes)."""
    from training.loss import StreetLoss

    preds = model(batch["img"])
    preds["scores"].retain_grad()
    loss, _ = StreetLoss(model)(preds, batch)
    loss.sum().backward()
    return preds["scores"].grad[0].T


def test_an_ignored_region_takes_no_gradient_for_its_class_only():
    model = a_network()
    plain = cls_gradient(model, a_batch())
    masked = cls_gradient(model, a_batch((CLASSES + 1, 0.5, 0.5, 1, 1)))
    assert (plain[:, 1] != 0).all()
    assert (masked[:, 1] == 0).all()
    assert torch.equal(masked[:, [0, 2]], plain[:, [0, 2]])


def test_a_region_of_every_class_silences_only_its_place():
    model = a_network()
    masked = cls_gradient(model, a_batch((2 * CLASSES, 0.25, 0.5, 0.5, 1)))
    points = (torch.arange(8) + 0.5) * 8  # the first 64 places are the 8 x 8 ones
    left = (points.repeat(8) < 32).nonzero().view(-1)
    right = (points.repeat(8) > 32).nonzero().view(-1)
    assert (masked[left] == 0).all()
    assert (masked[right] != 0).all()


def test_a_real_label_inside_an_ignored_region_still_counts():
    model = a_network()
    gradient = cls_gradient(model, a_batch((1, 0.5, 0.5, 0.6, 0.6), (CLASSES + 1, 0.5, 0.5, 1, 1)))
    assert (gradient[:, 1] < 0).any()  # drawn upwards where the thing is
    assert (gradient[:, 1] <= 0).all()  # and pushed down nowhere


def test_the_teacher_is_at_distance_zero_from_itself_and_draws_scores_to_its_own():
    from training.loss import distance_to_teacher

    torch.manual_seed(2)
    scores, boxes = torch.randn(2, 2, 10), torch.randn(2, 64, 10)
    zero, nothing = distance_to_teacher(scores, boxes, scores.clone(), boxes.clone(), None, 16)
    assert zero.item() == pytest.approx(0, abs=1e-6)
    assert nothing.item() == pytest.approx(0, abs=1e-6)
    student = (scores - 1).requires_grad_()
    far, _ = distance_to_teacher(student, boxes, scores, boxes, None, 16)
    far.backward()
    assert far.item() > 0
    assert (student.grad < 0).all()  # a step down the gradient raises the student's scores


def test_places_claimed_by_a_class_unknown_to_the_teacher_are_left_alone():
    from training.loss import distance_to_teacher

    student = torch.zeros(1, 2, 4, requires_grad=True)
    claimed = torch.tensor([[True, False, False, True]])
    distance, _ = distance_to_teacher(
        student, torch.zeros(1, 64, 4), torch.ones(1, 2, 4), torch.zeros(1, 64, 4), claimed, 16
    )
    distance.backward()
    assert (student.grad[:, :, [0, 3]] == 0).all()
    assert (student.grad[:, :, [1, 2]] != 0).all()


def test_teacher_finds_the_classes_it_shares():
    from training.network import Teacher

    model = a_network()
    model.names = {0: "person", 1: "kite", 2: "motorcycle"}
    teacher = Teacher(
        model, ("motorcycle", "bin", "person"), {"person": "person", "motorcycle": "motorcycle"}
    )
    seen = teacher.look(torch.rand(2, 3, 64, 64))
    assert teacher.of == [2, 0]
    assert seen["scores"].shape == (2, 2, 84)
    assert seen["boxes"].shape == (2, 64, 84)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_class_may_weigh_more_and_an_unknown_one_is_refused() -> None:
    from training.loss import class_weights

    assert class_weights({"bin": 3.0}, {0: "person", 1: "bin"}).tolist() == [1.0, 3.0]
    with pytest.raises(WrongUse, match="flyingwire is no class"):
        class_weights({"flyingwire": 3.0}, {0: "person", 1: "flying_wire"})
