import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.datasets.folds import leave_one_subject_out, subject_folds


@st.composite
def cases(draw):
    counts = draw(st.lists(st.integers(1, 9), min_size=2, max_size=12))
    names = [f"subject {i}" for i, count in enumerate(counts) for _ in range(count)]
    return draw(st.permutations(names))


def shared_subjects(subjects, folds):
    seen = [{subjects[i] for i in fold} for fold in folds]
    return sum(map(len, seen)) - len(set().union(*seen))


@given(cases(), st.integers(2, 12), st.integers(0, 99))
def test_every_case_is_in_one_fold_and_no_subject_in_two(subjects, folds, seed):
    folds = min(folds, len(set(subjects)))
    dealt = subject_folds(subjects, folds, seed)
    assert sorted(i for fold in dealt for i in fold) == list(range(len(subjects)))
    assert shared_subjects(subjects, dealt) == 0
    assert len(dealt) == folds and all(fold and fold == sorted(fold) for fold in dealt)


@given(cases(), st.integers(2, 12), st.integers(0, 99))
def test_no_two_folds_differ_by_more_cases_than_the_largest_subject_has(subjects, folds, seed):
    sizes = [len(fold) for fold in subject_folds(subjects, min(folds, len(set(subjects))), seed)]
    assert max(sizes) - min(sizes) <= max(subjects.count(name) for name in set(subjects))


@pytest.mark.parametrize("seed", range(5))
def test_a_large_subject_is_balanced_by_many_small_ones(seed):
    subjects = ["large"] * 6 + [f"small {i}" for i in range(6)]
    assert [len(fold) for fold in subject_folds(subjects, 2, seed)] == [6, 6]


@given(cases(), st.randoms(use_true_random=False))
def test_who_shares_a_fold_does_not_depend_on_the_order_of_the_cases(subjects, random):
    turned = list(subjects)
    random.shuffle(turned)
    one, other = ([{names[i] for i in fold} for fold in subject_folds(names, 2, 7)] for names in (subjects, turned))
    assert one == other


def test_subjects_with_one_case_each_are_dealt_evenly_and_by_the_seed():
    subjects = [f"s{i}" for i in range(23)]
    dealt = subject_folds(subjects, 5, seed=1)
    assert sorted(map(len, dealt)) == [4, 4, 5, 5, 5]
    assert dealt == subject_folds(subjects, 5, seed=1) != subject_folds(subjects, 5, seed=2)
    assert not any(np.array_equal(fold, range(fold[0], fold[0] + len(fold))) for fold in dealt), "shuffled"


@given(cases())
def test_leaving_one_subject_out_leaves_out_all_its_cases(subjects):
    folds = leave_one_subject_out(subjects)
    assert [subjects[fold[0]] for fold in folds] == sorted(set(subjects))
    assert all(fold == [i for i, name in enumerate(subjects) if name == subjects[fold[0]]] for fold in folds)


@pytest.mark.parametrize("folds", [-1, 0, 1, 4])
def test_folds_that_cannot_be_dealt_are_refused(folds):
    with pytest.raises(UsageError, match=rf"3 subjects cannot be split into {folds} folds.*no more than"):
        subject_folds(["a", "b", "c", "a"], folds, 0)


@pytest.mark.parametrize("subjects", [[], ["a", "a"]])
def test_one_subject_cannot_be_left_out(subjects):
    with pytest.raises(UsageError, match="too few to leave one out"):
        leave_one_subject_out(subjects)
