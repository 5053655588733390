"""The figures against scikit-learn's and against votes worked out by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from core_code.core_utils.metrics.scores import most_wrong, score
from core_code.core_utils.metrics.votes import mean_vote, surest_vote


@pytest.fixture
def answers():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 7, (200,), generator=generator)
    logits = torch.randn(200, 7, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, 7)
    return logits, labels


def test_scores_equal_scikit_learns(answers):
    logits, labels = answers
    scores = score(logits, labels)
    predictions = logits.argmax(1)
    classes = range(7)
    assert scores.top1 == pytest.approx(reference.accuracy_score(labels, predictions))
    assert scores.top2 == pytest.approx(reference.top_k_accuracy_score(labels, logits, k=2, labels=classes))
    assert scores.mean_per_class == pytest.approx(reference.balanced_accuracy_score(labels, predictions))
    assert scores.macro_f1 == pytest.approx(reference.f1_score(labels, predictions, average="macro"))
    assert np.array_equal(scores.confusion, reference.confusion_matrix(labels, predictions, labels=classes))
    assert scores.faces == 200


def test_equal_logits_count_the_same_in_accuracy_and_confusion_matrix():
    logits = torch.randint(0, 2, (500, 7)).float()  # nearly every face has several highest logits
    labels = torch.randint(0, 7, (500,))
    scores = score(logits, labels)
    predicted = logits.numpy().argmax(1)
    assert scores.top1 == pytest.approx(reference.accuracy_score(labels, predicted))
    assert sum(scores.confusion[label][label] for label in range(7)) == round(500 * scores.top1)


def test_an_emotion_without_faces_does_not_count_in_the_mean():
    labels = torch.tensor([0, 0, 2])
    logits = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert score(logits, labels).mean_per_class == pytest.approx((0.5 + 1) / 2)


def test_macro_f1_leaves_out_what_neither_occurs_nor_is_predicted_as_scikit_learn_does():
    labels = torch.tensor([0, 0, 2, 2, 5])
    logits = torch.nn.functional.one_hot(torch.tensor([0, 3, 2, 2, 0]), 7).float()
    wanted = reference.f1_score(labels, logits.argmax(1), average="macro")
    assert score(logits, labels).macro_f1 == pytest.approx(wanted)
    # by hand: class 0 has F1 1/2, class 2 has 1, classes 3 and 5 have 0
    assert wanted == pytest.approx((1 / 2 + 1 + 0 + 0) / 4)


def test_votes_by_hand():
    first = torch.tensor([[3.0, 1, 0], [0, 2, 1]])
    second = torch.tensor([[0.0, 2, 0], [0, 1, 2.5]])
    assert surest_vote([first, second]).tolist() == [[3, 1, 0], [0, 1, 2.5]]
    mean = mean_vote([first, second]).exp()
    e = math.exp
    top = (e(3) / (e(3) + e(1) + 1) + 1 / (e(2) + 2)) / 2
    assert mean[0, 0].item() == pytest.approx(top)
    assert mean.sum(1).tolist() == pytest.approx([1, 1])


def test_the_most_wrong_are_the_surest_of_the_wrong_ones(answers):
    logits, labels = answers
    chances = logits.double().softmax(1).tolist()
    wrong = [i for i, row in enumerate(chances) if row.index(max(row)) != labels[i]]
    wanted = sorted(wrong, key=lambda i: -max(chances[i]))
    assert most_wrong(logits, labels, 10).tolist() == wanted[:10]
    assert most_wrong(logits, labels, 1000).tolist() == wanted
