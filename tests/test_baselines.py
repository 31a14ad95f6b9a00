import numpy as np

from gemb import baselines


def clusters(seed=0, n=120, classes=4):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    x = np.eye(classes)[label] * 4 + rng.normal(size=(n, classes))
    return np.hstack([x, np.zeros((n, 3))]), [f"c{k}" for k in label]


def test_every_method_learns_clusters_and_the_majority_does_not():
    x, y = clusters()
    got = baselines.predictions(x[:60], y[:60], x[60:80], y[60:80], x[80:])
    truth = np.array(y[80:])
    for method in baselines.CANDIDATES:
        assert (np.array(got[method]) == truth).mean() > 0.85, method
    assert len(set(got["majority"])) == 1


def test_constant_vectors_leave_one_answer():
    _, y = clusters()
    x = np.ones((len(y), 5))
    got = baselines.predictions(x[:60], y[:60], x[60:80], y[60:80], x[80:])
    assert all(len(set(a)) == 1 for a in got.values())


def test_one_class_and_few_items_are_no_error():
    x, _ = clusters(n=12)
    got = baselines.predictions(x[:4], ["a"] * 4, x[4:6], ["a"] * 2, x[6:])
    assert set(got["logistic regression"]) == {"a"}
    got = baselines.predictions(x[:4], ["a", "b"] * 2, x[4:6], ["a", "b"], x[6:])
    assert set(got["k-NN"]) <= {"a", "b"}


def test_the_most_frequent_answer_wins_and_ties_go_by_alphabet():
    assert baselines.majority(["b", "a", "b"], 2) == ["b", "b"]
    assert baselines.majority(["b", "a"], 1) == ["a"]
